"""Object arrays of `Dim`: shapes that are known only as expressions, computed with like numbers.

Shape inference runs the meanings of indexing and integer arithmetic on such arrays.  What cannot be decided for all
values of the symbols (`N == 3`, a floor of something that may be negative) is refused with TypeError, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphopt.ir.dim import Dim, Expr, Quotient, floor_divide


def is_symbolic(*arrays: Any) -> bool:
    """Whether some array holds dims: an object array whose elements are not text."""
    return any(isinstance(a, np.ndarray) and a.dtype == object and not _is_text(a) for a in arrays)


def objects(items: list[Any], shape: tuple[int, ...]) -> np.ndarray:
    """An object array of the items in the shape (numpy would look inside them)."""
    out = np.empty(len(items), object)
    out[:] = items
    return out.reshape(shape)


def each(function: Callable[..., Any], *arrays: Any) -> np.ndarray:
    """The function applied to broadcast elements, as an object array; numbers are given as Python ints."""
    wide = np.broadcast_arrays(*[np.asarray(a) for a in arrays])
    items = [function(*map(dim, row)) for row in zip(*(a.ravel() for a in wide), strict=True)]
    return objects(items, wide[0].shape)


def decided(array: np.ndarray) -> np.ndarray:
    """The bools of an object array as a bool array."""
    return array.astype(np.bool_)


def numbers(array: np.ndarray) -> np.ndarray:
    """The array as int64 when no symbol is left in it, else as it is."""
    if array.dtype == object and all(isinstance(item, int) for item in array.flat):
        return array.astype(np.int64)
    return array


def ints(array: np.ndarray) -> list[int]:
    """The elements as Python ints; TypeError when one is symbolic and a number is needed."""
    items = [dim(item) for item in np.asarray(array).reshape(-1)]
    if not all(isinstance(item, int) for item in items):
        raise TypeError(f"numbers are needed where {[str(item) for item in items]} is symbolic")
    return items  # pyright: ignore[reportReturnType]  # checked above


def dim(item: Any) -> Dim:
    """An element as a Dim; TypeError for one that is not an integer."""
    if isinstance(item, Expr):
        return item
    if isinstance(item, (bool, int, np.integer, np.bool_)):
        return int(item)
    if isinstance(item, (float, np.floating)) and float(item).is_integer():
        return int(item)
    raise TypeError(f"{item!r} is not a dimension")


def divide(a: Dim, b: Dim) -> Dim:
    """Truncating division; TypeError where the sign decides and is not known."""
    if isinstance(a, int) and isinstance(b, int):
        if b == 0:
            raise TypeError("a dimension is divided by zero")
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    result = floor_divide(a, b)
    exact = isinstance(result, int) or not _has_new_quotient(result, a)
    if exact or (is_nonnegative(a) and is_nonnegative(b)):
        return result
    raise TypeError(f"whether ({a})/({b}) rounds up or down depends on its sign")


def equal(a: Dim, b: Dim) -> bool:
    """Whether two dims are equal for all values of their symbols, which count something and so are ≥ 0."""
    order = _sign(a - b)
    if order is None:
        raise TypeError(f"whether {a} equals {b} depends on the symbols")
    return order == 0


def less(a: Dim, b: Dim) -> bool:
    """Whether a < b for all values of the symbols."""
    difference = b - a
    if _sign(difference) == 1:
        return True
    if is_nonnegative(a - b):
        return False
    raise TypeError(f"whether {a} is less than {b} depends on the symbols")


def larger(a: Dim, b: Dim) -> Dim:
    """The larger of two dims; TypeError where that depends on the symbols."""
    return b if less(a, b) else a


def smaller(a: Dim, b: Dim) -> Dim:
    """The smaller of two dims; TypeError where that depends on the symbols."""
    return a if less(a, b) else b


def is_nonnegative(a: Dim) -> bool:
    """Whether a ≥ 0 follows from all symbols being ≥ 0."""
    if isinstance(a, int):
        return a >= 0
    return all(n >= 0 and all(_atom_is_nonnegative(atom) for atom in monomial) for monomial, n in a.terms)


def _atom_is_nonnegative(atom: Any) -> bool:
    return not isinstance(atom, Quotient) or (is_nonnegative(atom.numerator) and is_nonnegative(atom.denominator))


def _sign(a: Dim) -> int | None:
    if isinstance(a, int):
        return (a > 0) - (a < 0)
    constant = sum(n for monomial, n in a.terms if not monomial)
    if constant > 0 and is_nonnegative(a):
        return 1
    if constant < 0 and is_nonnegative(-a):
        return -1
    return None


def _has_new_quotient(result: Expr, a: Dim) -> bool:
    old = {atom for monomial, _ in a.terms for atom in monomial} if isinstance(a, Expr) else set[Any]()
    return any(isinstance(atom, Quotient) and atom not in old for monomial, _ in result.terms for atom in monomial)


def _is_text(array: np.ndarray) -> bool:
    return any(isinstance(item, (str, bytes)) for item in array.flat)
