"""What two types have in common: the type of a value that may come from either side."""

from __future__ import annotations

from collections.abc import Callable

from graphopt.ir.dim import Dim
from graphopt.ir.types import OptionalType, SequenceType, TensorType, Type


def join(a: Type | None, b: Type | None, fresh: Callable[[int], Dim]) -> Type | None:
    """The narrowest type that both are; `fresh(axis)` names a dimension in which they differ.

    None when one is not known, or they are of different kinds.
    """
    if a == b:
        return a
    match a, b:
        case TensorType(), TensorType():
            dtype = a.dtype if a.dtype is b.dtype else None
            if a.shape is None or b.shape is None or len(a.shape) != len(b.shape):
                return TensorType(dtype)
            pairs = enumerate(zip(a.shape, b.shape, strict=True))
            return TensorType(dtype, tuple(x if x == y else fresh(axis) for axis, (x, y) in pairs))
        case SequenceType(), SequenceType():
            element = join(a.element, b.element, fresh)
            return None if element is None else SequenceType(element)
        case OptionalType(), OptionalType():
            element = join(a.element, b.element, fresh)
            return None if element is None else OptionalType(element)
        case _:
            return None
