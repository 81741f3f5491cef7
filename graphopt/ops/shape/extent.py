"""Signs and clamps of dims, given that a symbol counts something and so is never negative."""

from __future__ import annotations

from graphopt.ir.dim import Atom, Dim, Quotient
from graphopt.ops.shape.operand import opaque


def is_nonnegative(dim: Dim) -> bool:
    """Whether dim ≥ 0 follows from all symbols being ≥ 0 (False: it may be negative)."""
    if isinstance(dim, int):
        return dim >= 0
    return all(n >= 0 and all(_counts(atom) for atom in monomial) for monomial, n in dim.terms)


def larger(a: Dim, b: Dim) -> Dim:
    """max(a, b)."""
    if is_nonnegative(a - b):
        return a
    if is_nonnegative(b - a):
        return b
    return opaque("max", *sorted((a, b), key=str))


def smaller(a: Dim, b: Dim) -> Dim:
    """min(a, b)."""
    if is_nonnegative(b - a):
        return a
    if is_nonnegative(a - b):
        return b
    return opaque("min", *sorted((a, b), key=str))


def _counts(atom: Atom) -> bool:
    if isinstance(atom, Quotient):
        return is_nonnegative(atom.numerator) and is_nonnegative(atom.denominator)
    return True
