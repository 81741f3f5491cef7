"""Expressions that grow without end are cut: a long one is named by its digest, so that equal ones stay equal.

A dimension may be built from two earlier ones at every node, and its text then doubles with each.
"""

from __future__ import annotations

import hashlib

import numpy as np

from graphopt.ir.dim import Dim, Expr, symbol
from graphopt.ir.types import OptionalType, SequenceType, TensorType, Type

_LONGEST = 1000  # characters; the longest of any model in our corpus has 300


def short(type: Type | None) -> Type | None:
    """The type with its long dims replaced by anonymous ones."""
    match type:
        case TensorType(dtype, shape) if shape is not None and any(_is_long(dim) for dim in shape):
            return TensorType(dtype, tuple(_digest(dim) if _is_long(dim) else dim for dim in shape))
        case SequenceType(element):
            return SequenceType(short(element) or element)
        case OptionalType(element):
            return OptionalType(short(element) or element)
        case _:
            return type


def is_long(elements: np.ndarray) -> bool:
    """Whether some known element is a long expression."""
    return elements.dtype == object and any(_is_long(item) for item in elements.flat)


def _is_long(dim: object) -> bool:
    return isinstance(dim, Expr) and len(str(dim)) > _LONGEST


def _digest(dim: Dim) -> Expr:
    return symbol(f"?{hashlib.sha256(str(dim).encode()).hexdigest()[:24]}")
