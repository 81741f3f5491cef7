"""Operators on strings."""

from __future__ import annotations

import re

import numpy as np

from graphopt.ops.call import as_text
from graphopt.ops.meaning.symbolic import objects
from graphopt.ops.table import Call, meaning


@meaning("StringConcat")
def _concat(call: Call) -> tuple[np.ndarray]:
    a, b = np.broadcast_arrays(*(as_text(x) for x in call.inputs))
    return (objects([p + q for p, q in zip(a.ravel(), b.ravel(), strict=True)], a.shape),)


@meaning("RegexFullMatch")
def _regex_full_match(call: Call) -> tuple[np.ndarray]:
    x, pattern = as_text(call.inputs[0]), re.compile(str(call.attributes["pattern"]))
    return (np.array([pattern.fullmatch(item) is not None for item in x.ravel()], np.bool_).reshape(x.shape),)


@meaning("StringSplit")
def _split(call: Call) -> tuple[np.ndarray, np.ndarray]:
    x = as_text(call.inputs[0])
    delimiter, most = call.attributes.get("delimiter") or None, int(call.attributes.get("maxsplit", -1))
    parts = [item.split(delimiter, most) for item in x.ravel()]
    width = max((len(row) for row in parts), default=0)
    flat = [word for row in parts for word in (*row, *[""] * (width - len(row)))]
    counts = np.array([len(row) for row in parts], np.int64).reshape(x.shape)
    return (objects(flat, (*x.shape, width)), counts)


@meaning("StringNormalizer")
def _normalize(call: Call) -> tuple[np.ndarray]:
    x, a = as_text(call.inputs[0]), call.attributes
    stop = [str(word) for word in a.get("stopwords") or ()]
    if a.get("is_case_sensitive", 0):
        kept = [item for item in x.ravel() if item not in stop]
    else:
        lowered = {word.lower() for word in stop}
        kept = [item for item in x.ravel() if item.lower() not in lowered]
    change = {"LOWER": str.lower, "UPPER": str.upper, "NONE": str}[str(a.get("case_change_action", "NONE"))]
    made = [change(item) for item in kept] or [""]
    return (objects(made, (len(made),) if x.ndim == 1 else (1, len(made))),)
