"""Products of matrices.  Floats accumulate in float64 and are rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning


@meaning("MatMul")
def _matmul(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    return (rounded(np.matmul(widened(a), widened(b)), a.dtype),)


@meaning("Gemm")
def _gemm(call: Call) -> tuple[np.ndarray]:
    return (rounded(gemm(call), call.inputs[0].dtype),)


def gemm(call: Call) -> np.ndarray:
    """Gemm of a call's inputs by its attributes, in float64 for floats."""
    a, b, c = call.inputs[0], call.inputs[1], call.input(2)
    alpha, beta = _factor(call, "alpha", a), _factor(call, "beta", a)
    left = widened(a).T if call.attributes.get("transA", 0) else widened(a)
    right = widened(b).T if call.attributes.get("transB", 0) else widened(b)
    y = np.matmul(left, right) * alpha
    if c is not None:
        y = y + widened(c) * beta
    return y


def _factor(call: Call, name: str, a: np.ndarray) -> Any:
    value = float(call.attributes.get(name, 1.0))
    return value if a.dtype.kind not in "iu" else a.dtype.type(value)


@meaning("FusedMatMul", domain="com.microsoft")
def _fused_matmul(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    left = turned(widened(a), call.attributes.get("transBatchA", 0), call.attributes.get("transA", 0))
    right = turned(widened(b), call.attributes.get("transBatchB", 0), call.attributes.get("transB", 0))
    return (rounded(np.matmul(left, right) * float(call.attributes.get("alpha", 1.0)), a.dtype),)


def turned(x: np.ndarray, batch: int, matrix: int) -> np.ndarray:
    """The operand of a product, with its batch axes before its last two, and these exchanged where `matrix` says so."""
    if batch and x.ndim > 2:
        x = np.moveaxis(x, 0, -2)
    return np.swapaxes(x, -1, -2) if matrix and x.ndim > 1 else x


@meaning("Einsum")
def _einsum(call: Call) -> tuple[np.ndarray]:
    equation = str(call.attributes["equation"]).replace(" ", "")
    product = np.einsum(equation, *[widened(x) for x in call.inputs], optimize=True)
    return (rounded(np.asarray(product), call.inputs[0].dtype),)


@meaning("Det")
def _det(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (rounded(np.asarray(np.linalg.det(widened(x))), x.dtype),)
