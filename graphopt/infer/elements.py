"""Known elements: small tensors whose elements are known before anything runs, as numbers or as dims.

A shape read from a tensor is known as far as its dims are; it stays known through indexing and integer arithmetic,
by running the operators' own meanings on it.  What the meanings cannot decide for all values of the symbols is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphopt.errors import MisfitError, ModelError
from graphopt.ir.constant import Constant, size_of
from graphopt.ir.dim import Dim, product
from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType, Type
from graphopt.ops.facts import facts_of
from graphopt.ops.shape.sizes import measured
from graphopt.ops.table import Call, Inference, meaning_of

_MOST_ELEMENTS = 4096
_COUNTING = (DType.INT64, DType.INT32, DType.BOOL)

_ON_DIMS = frozenset(
    {"Abs", "Add", "Cast", "Concat", "Div", "Equal", "Expand", "Flatten", "Gather", "GatherElements", "GatherND"}
    | {"Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg", "Not", "And"}
    | {"Or", "Range", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "ScatterElements", "ScatterND"}
    | {"Slice", "Split", "Squeeze", "Sub", "Sum", "Tile", "Transpose", "Unsqueeze", "Where"}
)
"""Operators whose meaning on dims is their meaning on the numbers these stand for."""


def constant_elements(constant: Constant) -> np.ndarray | None:
    """The elements of a small constant of numbers, None for others."""
    if constant.dtype is DType.STRING or math.prod(constant.shape) > _MOST_ELEMENTS or size_of(constant) > 2**16:
        return None
    return constant.array()


def known_elements(call: Inference, types: Sequence[Type | None]) -> tuple[np.ndarray | None, ...]:
    """What is known of the elements of an application's outputs, whose types are given.

    MisfitError where all elements are known numbers and the operator's meaning refuses them: every run would end there.
    """
    unknown = (None,) * call.outputs
    if call.domain:
        return unknown
    if call.op in ("Shape", "Size"):
        operand = call.types[0] if call.types else None
        if not isinstance(operand, TensorType) or operand.shape is None:
            return unknown
        return (_array(measured(call, operand.shape)) if call.op == "Shape" else _array(product(operand.shape)),)
    if not all(_is_small(type) for type in types):
        return unknown
    given = [(t, v) for t, v in zip(call.types, call.values, strict=True) if t is not None]
    if any(value is None for _, value in given) or not given:
        return unknown
    if any(value is not None and value.dtype == object for _, value in given) and not _may_count(call, types):
        return unknown
    return _run(call) or unknown


def _run(call: Inference) -> tuple[np.ndarray | None, ...] | None:
    facts, function = facts_of(call.op, call.domain), meaning_of(call.op, call.domain)
    if facts is None or not facts.deterministic or facts.control_flow or function is None:
        return None
    try:
        with np.errstate(all="ignore"):
            found = function(Call(call.op, "", call.version, call.attributes, call.values, call.outputs))
    except ModelError as error:
        if any(value is not None and value.dtype == object for value in call.values):
            return None
        raise error if isinstance(error, MisfitError) else MisfitError(call.op, str(error)) from error
    except (TypeError, ValueError, IndexError, KeyError, ArithmeticError, AttributeError):
        return None  # not decided by what is known; what is wrong in it, the rules or the first run will say
    arrays = [item if isinstance(item, np.ndarray) else None for item in found[: call.outputs]]
    return (*arrays, *(None,) * (call.outputs - len(arrays)))


def _may_count(call: Inference, types: Sequence[Type | None]) -> bool:
    """Dims are whole numbers: division and rounding of floats is not what it is on them."""
    every = (*(type for type in call.types if type is not None), *types)
    return call.op in _ON_DIMS and all(isinstance(t, TensorType) and t.dtype in _COUNTING for t in every)


def _is_small(type: Type | None) -> bool:
    if not isinstance(type, TensorType) or type.dtype is DType.STRING:
        return False
    shape = type.static_shape
    return shape is not None and math.prod(shape) <= _MOST_ELEMENTS


def _array(dims: tuple[Dim, ...] | Dim) -> np.ndarray:
    items: list[Any] = list(dims) if isinstance(dims, tuple) else [dims]
    if all(isinstance(item, int) and item < 2**63 for item in items):
        array = np.array(items, np.int64)
    else:
        array = np.empty(len(items), object)
        array[:] = items
    return array if isinstance(dims, tuple) else array.reshape(())
