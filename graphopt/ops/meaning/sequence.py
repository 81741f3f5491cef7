"""Sequences and optionals: lists of values, and None for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.operands import axis_of, scalar
from graphopt.ops.table import Call, meaning


def _place(position: Any, length: int, room: int) -> int:
    """The position, counted from the front; ModelError outside [-length, length + room)."""
    index = int(scalar(position))
    if not -length <= index < length + room:
        raise ModelError(f"position {index} is outside a sequence of {length}")
    return index + length if index < 0 else index


@meaning("SequenceEmpty")
def _empty(call: Call) -> tuple[list[Any]]:
    return ([],)


@meaning("SequenceConstruct")
def _construct(call: Call) -> tuple[list[Any]]:
    return (list(call.inputs),)


@meaning("SequenceLength")
def _length(call: Call) -> tuple[np.ndarray]:
    return (np.array(len(call.inputs[0]), np.int64),)


@meaning("SequenceAt")
def _at(call: Call) -> tuple[Any]:
    items, position = call.inputs
    return (items[_place(position, len(items), 0)],)


@meaning("SequenceInsert")
def _insert(call: Call) -> tuple[list[Any]]:
    items, value = list(call.inputs[0]), call.inputs[1]
    items.insert(len(items) if call.input(2) is None else _place(call.inputs[2], len(items), 1), value)
    return (items,)


@meaning("SequenceErase")
def _erase(call: Call) -> tuple[list[Any]]:
    items = list(call.inputs[0])
    del items[-1 if call.input(1) is None else _place(call.inputs[1], len(items), 0)]
    return (items,)


@meaning("ConcatFromSequence")
def _concat(call: Call) -> tuple[np.ndarray]:
    items, new = call.inputs[0], bool(call.attributes.get("new_axis", 0))
    if not items:
        raise ModelError("there is nothing to join in an empty sequence")
    axis = axis_of(int(call.attributes["axis"]), items[0].ndim + new)
    shapes = [item.shape if new else (*item.shape[:axis], *item.shape[axis + 1 :]) for item in items]
    if len(set(shapes)) > 1:
        raise ModelError(
            f"elements of shapes {[list(item.shape) for item in items[:4]]} cannot be joined at axis {axis}"
        )
    return ((np.stack if new else np.concatenate)(items, axis=axis),)


@meaning("SplitToSequence")
def _split(call: Call) -> tuple[list[np.ndarray]]:
    x, split = call.inputs[0], call.input(1)
    axis = axis_of(int(call.attributes.get("axis", 0)), x.ndim)
    size = x.shape[axis]
    if split is not None and np.ndim(split) == 1:
        sizes = symbolic.ints(split)
        if sum(sizes) != size or min(sizes, default=0) < 0:
            raise ModelError(f"parts of {sizes} do not make up {size}")
        ends = np.cumsum(sizes)[:-1]
    else:
        step = 1 if split is None else int(scalar(split))
        if step < 1:
            raise ModelError(f"parts of {step} do not make up {size}")
        ends = np.arange(step, size, step)
    parts = np.split(x, ends, axis=axis)
    if split is None and not call.attributes.get("keepdims", 1):
        parts = [np.squeeze(part, axis) for part in parts]
    return (list(parts),)


@meaning("Optional")
def _optional(call: Call) -> tuple[Any]:
    return (call.input(0),)


@meaning("OptionalHasElement")
def _has_element(call: Call) -> tuple[np.ndarray]:
    return (np.array(call.input(0) is not None),)


@meaning("OptionalGetElement")
def _get_element(call: Call) -> tuple[Any]:
    if call.input(0) is None:
        raise ModelError("the optional is empty")
    return (call.inputs[0],)
