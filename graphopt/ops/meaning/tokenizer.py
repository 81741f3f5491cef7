"""com.microsoft Tokenizer: strings into tokens, as the text pipelines of scikit-learn are exported.

Its regular expressions are those of RE2; Python's mean the same where both know the form.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.call import as_text
from graphopt.ops.meaning.symbolic import objects
from graphopt.ops.table import Call, meaning

_START, _END = "\x02", "\x03"


@meaning("Tokenizer", domain="com.microsoft")
def _tokenizer(call: Call) -> tuple[np.ndarray]:
    x = as_text(np.asarray(call.inputs[0], object))
    if x.size == 0:
        return (objects([], (0,) if x.ndim == 1 else (x.shape[0], 0)),)
    least, split = int(call.attributes["mincharnum"]), _splitter(call)
    rows = [[token for token in split(item) if len(token) >= least] for item in x.ravel()]
    width = max(len(row) for row in rows)
    if width == 0:
        return (objects([], (*x.shape, 0)),)
    if call.attributes.get("mark", 0):
        rows, width = [[_START, *row, _END] for row in rows], width + 2
    pad = str(call.attributes["pad_value"])
    return (objects([token for row in rows for token in (*row, *[pad] * (width - len(row)))], (*x.shape, width)),)


def _splitter(call: Call) -> Callable[[str], list[str]]:
    expression, separators = call.attributes.get("tokenexp"), call.attributes.get("separators")
    if expression and not separators:
        pattern = _compiled(str(expression))
        return lambda text: [found.group() for found in pattern.finditer(text) if found.group()]
    if tuple(separators or ()) == ("",):
        return list
    patterns = [_compiled(str(separator)) for separator in separators or ()]

    def split(text: str) -> list[str]:
        parts = [text]
        for pattern in patterns:
            parts = [piece for part in parts for piece in _without(part, pattern)]
        return [part for part in parts if part]

    return split


def _without(text: str, pattern: re.Pattern[str]) -> list[str]:
    """What lies between the matches: no group of the expression is kept."""
    pieces, at = list[str](), 0
    for found in pattern.finditer(text):
        pieces.append(text[at : found.start()])
        at = found.end()
    return [*pieces, text[at:]]


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except re.error as error:
        raise ModelError(f"the regular expression {expression!r} is not one that Python knows") from error
