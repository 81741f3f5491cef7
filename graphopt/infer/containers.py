"""What comes out of a sequence or an optional: a tensor of which no dimension is that of another element.

The element type of a sequence says what all its elements have in common.  A symbol in it stands for one size in each
element, and not for the same one in all, so it must not leave under its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.ir.dim import symbol
from graphopt.ir.types import OptionalType, SequenceType, TensorType, Type
from graphopt.ops.table import Inference


def out_of_containers(call: Inference, types: Sequence[Type | None]) -> tuple[Type | None, ...]:
    """The output types of an application; where an operand is a container, open dims of tensors get names of their own.

    They are named after the application, so two elements taken from one sequence have unlike dims.
    """
    if not any(isinstance(type, (SequenceType, OptionalType)) for type in call.types):
        return tuple(types)
    return tuple(apart(type, f"{call.name}.{slot}") for slot, type in enumerate(types))


def apart(type: Type | None, name: str) -> Type | None:
    """A tensor type with every open dimension an anonymous one of that name; another type as it is."""
    if not isinstance(type, TensorType) or type.shape is None:
        return type
    dims = tuple(dim if isinstance(dim, int) else symbol(f"?{name}.{axis}") for axis, dim in enumerate(type.shape))
    return TensorType(type.dtype, dims)
