"""What running an operator would take, told from its operands before it is run: bytes and operations.

A model of a kilobyte can ask for 2^62 elements.  Whoever runs operators to compile a model asks here first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt.check.terms import terms_of
from graphopt.errors import ModelError
from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType, Type
from graphopt.ops.facts import facts_of
from graphopt.ops.infer_call import infer_call
from graphopt.ops.table import Call

_KNOWN = 4096
"""Elements of an operand that may say what shape a result has."""
_PER_ELEMENT = 8
"""Bytes an element takes while it is computed: much is done in float64."""
_TEXT, _A_CHARACTER = 64, 16
"""Bytes of a string in memory, and of each character: up to four, and in a copy or two."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """An upper estimate; what cannot be told beforehand is not in it."""

    nbytes: int
    operations: int


def foresee(call: Call) -> Foreseen:
    """What the call will take, as far as shapes tell."""
    shapes = _result_shapes(call)
    first = shapes[0] if shapes else None
    elements = sum(math.prod(shape) for shape in shapes if shape is not None)
    nbytes = _PER_ELEMENT * max(elements, _padded(call)) + _characters(call, elements)
    operations = elements
    if first is not None and elements < 2**62:
        operations *= terms(call, np.broadcast_to(np.uint8(0), first))
    return Foreseen(nbytes, operations)


def terms(call: Call, result: np.ndarray) -> int:
    """How many terms are added up in one element of the result; 1 where a call is too odd to tell."""
    if not call.inputs or not all(isinstance(value, (np.ndarray, np.generic)) for value in call.inputs[:2]):
        return 1
    try:
        return terms_of(call, result)
    except (LookupError, TypeError, ValueError):
        return 1


def may_never_end(call: Call) -> bool:
    """Whether it matches a pattern with repetitions in which a search may double with each character."""
    if call.op != "RegexFullMatch":
        return False
    pattern = str(call.attributes.get("pattern", ""))
    return re.search(r"[)][*+?{]", pattern) is not None or len(re.findall(r"[*+?{]", pattern)) > 2


def _result_shapes(call: Call) -> list[tuple[int, ...] | None]:
    facts = facts_of(call.op, call.domain)
    if facts is not None and facts.elementwise:
        # most calls, and nothing to think about
        return _broadcast([np.shape(value) for value in call.inputs if value is not None]) * call.outputs
    types = [_type(value) for value in call.inputs]
    values = [value if isinstance(value, np.ndarray) and value.size <= _KNOWN else None for value in call.inputs]
    try:
        found = infer_call(call.op, call.domain, call.version, call.attributes, types, values, call.outputs)
    except ModelError:
        # it does not fit its operands: running it says so, and why
        return []
    return [] if found is None else [type.static_shape if isinstance(type, TensorType) else None for type in found]


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...] | None]:
    rank = max(map(len, shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return [tuple(map(max, zip(*padded, strict=True)))]


def _type(value: Any) -> Type | None:
    if not isinstance(value, (np.ndarray, np.generic)):
        return None
    dtype = DType.STRING if value.dtype.kind in "OUS" else DType.of(value.dtype)
    return TensorType(dtype, np.shape(value))


def _padded(call: Call) -> int:
    """Elements of the first operand with what is put around it, which windows are cut from."""
    pads = call.attributes.get("pads")
    if not isinstance(pads, (tuple, list)) or not call.inputs or not isinstance(call.inputs[0], np.ndarray):
        return 0
    shape = call.inputs[0].shape
    half = len(pads) // 2
    around = [int(pads[axis]) + int(pads[axis + half]) for axis in range(half)]
    return math.prod(shape[: len(shape) - half]) * math.prod(
        max(size + more, 0) for size, more in zip(shape[len(shape) - half :], around, strict=False)
    )


def _characters(call: Call, elements: int) -> int:
    """Bytes of texts: of each result, at most as many characters as the longest text of each operand together."""
    texts = [v for v in call.inputs if isinstance(v, np.ndarray) and v.dtype.kind in "OUS"]
    longest = sum(max((len(item) for item in v.flat if isinstance(item, (str, bytes))), default=0) for v in texts)
    return elements * (_A_CHARACTER * longest + _TEXT) if texts else 0
