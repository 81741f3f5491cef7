"""Reading operands that are an attribute in one opset and an input in another, and the axes they name."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning import symbolic
from graphopt.ops.table import Call


def operand(call: Call, name: str, slot: int) -> list[int] | None:
    """Integers given as an attribute (older opsets) or as an input; None when given as neither."""
    value: Any = call.attributes.get(name)
    value = call.input(slot) if value is None else value
    return None if value is None else symbolic.ints(np.asarray(value))


def axis_of(axis: int, rank: int) -> int:
    """The axis, counted from the front; ModelError when the tensor has no such axis."""
    if not -rank <= axis < rank:
        raise ModelError(f"axis {axis} is out of range for {rank} dimensions")
    return axis % rank


def axes_of(axes: list[int], rank: int) -> tuple[int, ...]:
    """The axes, counted from the front; ModelError when one does not exist or is named twice."""
    found = tuple(axis_of(axis, rank) for axis in axes)
    if len(set(found)) != len(found):
        raise ModelError(f"an axis is named twice in {axes}")
    return found


def scalar(value: Any) -> Any:
    """The one element of a scalar or one-element tensor, as Python has it."""
    return np.asarray(value).reshape(-1)[0].item()
