"""Signs and clamps of dims, given that a symbol counts something and so is never negative."""

from __future__ import annotations

from graphopt.ir.dim import Atom, Dim, Expr, Function, Quotient, function


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
    return function("max", *sorted((a, b), key=str))


def smaller(a: Dim, b: Dim) -> Dim:
    """min(a, b)."""
    if is_nonnegative(b - a):
        return a
    if is_nonnegative(a - b):
        return b
    return function("min", *sorted((a, b), key=str))


def _counts(atom: Atom) -> bool:
    if isinstance(atom, Quotient):
        return is_nonnegative(atom.numerator) and is_nonnegative(atom.denominator)
    if isinstance(atom, Function):
        if atom.name in ("min", "max"):
            decide = all if atom.name == "min" else any
            return decide(is_nonnegative(argument) for argument in atom.arguments)
        return atom.name != "scale"  # counts of elements
    return True


def broadcast_of(a: Dim, b: Dim) -> Dim:
    """The dimension that two symbolic ones are broadcast to, given that they can be."""
    members = {*_members(a), *_members(b)}
    for dim in list(members):
        if any(dim in _larger_than(other) for other in members):
            members = {other for other in members if dim not in _larger_than(other)}
    ordered = sorted(members, key=str)
    return ordered[0] if len(ordered) == 1 else function("broadcast", *ordered)


def _members(dim: Dim) -> tuple[Dim, ...]:
    found = _as_function(dim)
    return found.arguments if found is not None and found.name == "broadcast" else (dim,)


def _larger_than(dim: Dim) -> tuple[Dim, ...]:
    """What `min(512, N)` is cut from: broadcast with N, either it is N itself or N is 1 and so is it."""
    found = _as_function(dim)
    if found is None or found.name != "min" or any(isinstance(a, int) and a < 2 for a in found.arguments):
        return ()
    symbolic = [argument for argument in found.arguments if isinstance(argument, Expr)]
    return tuple(symbolic) if len(symbolic) == 1 else ()


def _as_function(dim: Dim) -> Function | None:
    if isinstance(dim, Expr) and len(dim.terms) == 1:
        monomial, n = dim.terms[0]
        if n == 1 and len(monomial) == 1 and isinstance(monomial[0], Function):
            return monomial[0]
    return None
