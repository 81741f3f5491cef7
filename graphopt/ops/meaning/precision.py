"""In which precision the reference computes.

IEEE operations (+, −, ×, ÷, √) are correctly rounded in any type and stay in it.  Everything else (exp, erf, sums,
products of matrices) is computed in float64 and rounded once, for two reasons: the result is then within one rounding
of the true one, as an oracle's should be; and it does not depend on which vector instructions numpy or its BLAS
found on this machine, so that folding a constant gives the same bytes elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def is_float(dtype: np.dtype) -> bool:
    """Whether NaN and rounding exist for the type (float16 to float64, bfloat16, the 8-bit floats)."""
    return dtype.kind == "f" or (dtype.kind == "V" and "float" in dtype.name)


def widened(x: np.ndarray) -> np.ndarray:
    """The same numbers in the type the reference computes in: float64 for all floats, complex128 for complex."""
    if x.dtype.kind == "c":
        return x.astype(np.complex128)
    return x.astype(np.float64) if is_float(x.dtype) else x


def rounded(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The result, rounded once to the operator's type."""
    return np.asarray(x).astype(dtype, copy=False)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function of float64 numbers (numpy has none; the C library's is within one ulp)."""
    return np.fromiter(map(math.erf, x.ravel().tolist()), np.float64, x.size).reshape(x.shape)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(−x)), without overflow on either side."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def softplus(x: np.ndarray) -> np.ndarray:
    """ln(1 + exp(x)), without overflow."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0.0)


def maximum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The larger of two, as IEEE 754-2019 `maximum`: NaN propagates and −0 < +0, so the order of operands is free."""
    larger = np.maximum(a, b)
    return _zeros(larger, a, b, lambda p, q: p + q)


def minimum(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smaller of two, as IEEE 754-2019 `minimum`: NaN propagates and −0 < +0."""
    smaller = np.minimum(a, b)
    return _zeros(smaller, a, b, lambda p, q: -(-p + -q))


def _zeros(
    found: np.ndarray, a: np.ndarray, b: np.ndarray, combine: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    # which of two equal zeros numpy returns depends on its vector width
    if not is_float(found.dtype):
        return found
    ties = (a == 0) & (b == 0)
    return np.where(ties, combine(a, b), found) if np.any(ties) else found
