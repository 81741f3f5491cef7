"""A value as a right computation may give it: what it truly is, and how far rounding may carry it from there."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np

from graphopt.ops.meaning.precision import is_float


class Estimate:
    """A tensor: its elements and a bound on their error, element by element.

    Without an `error` the elements are exact.  An infinite error says that rounding decides the element (an index that
    two candidates compete for).  `terms` says of a sum that nobody has seen yet how many terms it has: what is added to
    it may become one of them.
    """

    __slots__ = ("_held", "_wide", "dtype", "error", "terms")

    def __init__(self, held: np.ndarray, dtype: np.dtype, error: np.ndarray | None = None, terms: int = 0) -> None:
        """`held` has the elements in float64 or in the type `dtype` in which the model computes."""
        self._held = held
        self._wide: np.ndarray | None = None
        self.dtype = dtype
        self.error = error
        self.terms = terms

    @property
    def value(self) -> np.ndarray:
        """The elements, floats in float64."""
        if self._wide is None:
            self._wide = self._held.astype(np.float64, copy=False) if is_float(self.dtype) else self._held
        return self._wide

    @property
    def plain(self) -> np.ndarray:
        """The elements in the model's own type."""
        if self._held.dtype == self.dtype:
            return self._held
        with np.errstate(all="ignore"):
            return self._held.astype(self.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""
        return self._held.shape

    def off_by(self, more: np.ndarray) -> Estimate:
        """The same elements with a larger error."""
        return Estimate(self._held, self.dtype, more if self.error is None else self.error + more, self.terms)


Estimated: TypeAlias = "Estimate | list[Any] | None"
"""What an operator is given and gives: a tensor, a sequence (exact), or nothing."""


def exact(value: Any) -> Estimated:
    """A computed or given value, taken as it is."""
    if value is None or isinstance(value, (list, Estimate)):
        return value
    array = np.asarray(value)
    return Estimate(array, array.dtype)


def plain(value: Estimated) -> Any:
    """The value as operators take it."""
    return value.plain if isinstance(value, Estimate) else value


@cache
def epsilon(dtype: np.dtype) -> float:
    """The distance from 1 to the next number of a float type: twice its unit roundoff."""
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).eps)


@cache
def largest(dtype: np.dtype) -> float:
    """The largest finite number of a float type."""
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).max)


@cache
def smallest(dtype: np.dtype) -> float:
    """The smallest normal number of a float type: kernels may flush what is smaller to zero."""
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).tiny)


def estimate(value: np.ndarray, dtype: np.dtype, error: np.ndarray | None, terms: int = 0) -> Estimate:
    """A computed tensor; what the type cannot hold is infinite, as it would be there."""
    if not is_float(dtype):
        return Estimate(value.astype(dtype, copy=False), dtype, _settled(value, error))
    wide = np.asarray(value, np.float64)
    if dtype.itemsize < 8:
        over = np.abs(wide) > largest(dtype) * (1 + epsilon(dtype) / 4)
        if over.any():
            wide = np.where(over, np.copysign(np.inf, wide), wide)
    return Estimate(wide, dtype, _settled(wide, error), terms)


def _settled(value: np.ndarray, error: np.ndarray | None) -> np.ndarray | None:
    """The error with a number everywhere: none where the value is not finite, any where the bound could not be told."""
    if error is None or not np.any(error):
        return None
    error = np.broadcast_to(np.asarray(error, np.float64), value.shape)
    if np.isfinite(error).all():
        return error
    known = np.where(np.isnan(error), np.inf, error)
    return (
        np.where(np.isfinite(value), known, np.where(np.isposinf(error), np.inf, 0.0)) if _is_number(value) else known
    )


def _is_number(value: np.ndarray) -> bool:
    return value.dtype.kind in "fc"
