"""com.microsoft: quantised operators beside the standard's, as ONNX Runtime writes them when it quantises a model.

Scales and zero points are one number.  What is not exact in integers is computed in float32, step by step as ONNX
Runtime does, because a value next to a rounding boundary becomes another integer when it is computed more accurately.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from graphopt.ops.meaning.microsoft_fused import channels_first, channels_last
from graphopt.ops.meaning.operands import axes_of
from graphopt.ops.meaning.precision import sigmoid
from graphopt.ops.table import Call, meaning, meaning_of

_DOMAIN = "com.microsoft"
_F32 = np.float32


def _one(v: Any) -> Any:
    """A scale as float32, a zero point (0 where it is left out) as int."""
    if v is None:
        return 0
    item = np.asarray(v).reshape(-1)[0]
    return int(item) if item.dtype.kind in "iu" else _F32(item)


def dequantised(x: np.ndarray, scale: Any, zero: Any) -> np.ndarray:
    """scale · (x − zero), in float32."""
    return (x.astype(np.int32) - _one(zero)).astype(_F32) * _one(scale)


def quantised(y: np.ndarray, scale: Any, zero: Any, dtype: np.dtype) -> np.ndarray:
    """y / scale, rounded half to even, moved by the zero point and clipped to the integer type."""
    return _clipped(np.rint(y.astype(_F32) / _one(scale)).astype(np.float64) + _one(zero), dtype)


def _clipped(whole: np.ndarray, dtype: np.dtype) -> np.ndarray:
    ends = np.iinfo(dtype)
    return np.where(np.isnan(whole), ends.min, np.clip(whole, ends.min, ends.max)).astype(np.int64).astype(dtype)


@meaning("QLinearAdd", domain=_DOMAIN)
def _add(call: Call) -> tuple[np.ndarray]:
    a, a_scale, a_zero, b, b_scale, b_zero, c_scale = call.inputs[:7]
    left, right = _one(a_scale) / _one(c_scale), _one(b_scale) / _one(c_scale)
    moved = _F32(_one(call.input(7))) - (left * _F32(_one(a_zero)) + right * _F32(_one(b_zero)))
    if _is_repeated(a, b):  # one number that is added to a whole row joins the zero point first
        a, left, b, right = b, right, a, left
    whole = np.rint(_fused(a, left, _fused(b, right, moved)))
    return (_clipped(whole.astype(np.float64), a.dtype),)


def _fused(x: np.ndarray, factor: np.float32, added: Any) -> np.ndarray:
    """x · factor + added in float32, rounded once as the processor's instruction does."""
    return (x.astype(np.float64) * np.float64(factor) + np.asarray(added, np.float64)).astype(_F32)


def _is_repeated(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a has one element where b has a row of several."""
    rank = max(a.ndim, b.ndim)
    pairs = [(m, n) for m, n in zip(_padded(a, rank), _padded(b, rank), strict=True) if (m, n) != (1, 1)]
    return bool(pairs) and pairs[-1][0] == 1


def _padded(x: np.ndarray, rank: int) -> tuple[int, ...]:
    return (1,) * (rank - x.ndim) + x.shape


@meaning("QLinearMul", domain=_DOMAIN)
def _mul(call: Call) -> tuple[np.ndarray]:
    a, a_scale, a_zero, b, b_scale, b_zero, c_scale = call.inputs[:7]
    product = (a.astype(np.int32) - _one(a_zero)) * (b.astype(np.int32) - _one(b_zero))
    factor = _one(a_scale) * _one(b_scale) / _one(c_scale)
    whole = np.rint(product.astype(_F32) * factor).astype(np.float64) + _one(call.input(7))
    return (_clipped(whole, a.dtype),)


def _one_by_one(op: str, function: Callable[[Call, np.ndarray], np.ndarray]) -> None:
    """Register an operator that dequantises, computes `function` in float32 and quantises again."""

    def compute(call: Call) -> tuple[np.ndarray]:
        x, x_scale, x_zero, y_scale, y_zero = (
            call.inputs[0],
            call.inputs[1],
            call.input(2),
            call.inputs[3],
            call.input(4),
        )
        return (quantised(function(call, dequantised(x, x_scale, x_zero)), y_scale, y_zero, x.dtype),)

    meaning(op, domain=_DOMAIN)(compute)


def _leaky(call: Call, x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, x * _F32(call.attributes.get("alpha", 0.01)))


def _softmax(call: Call, x: np.ndarray) -> np.ndarray:
    function: Any = meaning_of("Softmax")
    version = int(call.attributes["opset"])
    plain = {"axis": int(call.attributes.get("axis", -1))}
    return function(Call("Softmax", "", version, plain, (x,), 1))[0]


def _mean(call: Call, x: np.ndarray) -> np.ndarray:
    given = [int(axis) for axis in call.attributes.get("axes") or range(x.ndim)]
    keep = bool(call.attributes.get("keepdims", 1))
    return x.astype(np.float64).mean(axis=axes_of(given, x.ndim), keepdims=keep)


def _average(call: Call, x: np.ndarray) -> np.ndarray:
    function: Any = meaning_of("AveragePool")
    last = bool(call.attributes.get("channels_last", 0))
    plain = replace(call, op="AveragePool", domain="", version=10, inputs=(channels_first(x) if last else x,))
    y = function(plain)[0]
    return channels_last(y) if last else y


_one_by_one("QLinearSigmoid", lambda call, x: sigmoid(x.astype(np.float64)))
_one_by_one("QLinearLeakyRelu", _leaky)
_one_by_one("QLinearSoftmax", _softmax)
_one_by_one("QLinearReduceMean", _mean)
_one_by_one("QLinearAveragePool", _average)


@meaning("QLinearGlobalAveragePool", domain=_DOMAIN)
def _global_average(call: Call) -> tuple[np.ndarray]:
    x, x_scale, x_zero, y_scale, y_zero = call.inputs
    last = bool(call.attributes.get("channels_last", 0))
    axes = tuple(range(1, x.ndim - 1)) if last else tuple(range(2, x.ndim))
    count = int(np.prod([x.shape[axis] for axis in axes]))
    total = x.astype(np.int64).sum(axis=axes, keepdims=True) - _one(x_zero) * count
    factor = _one(x_scale) / (_one(y_scale) * _F32(count))
    whole = np.rint(total.astype(_F32) * factor).astype(np.float64) + _one(y_zero)
    return (_clipped(whole, x.dtype),)


@meaning("QLinearConcat", domain=_DOMAIN)
def _concat(call: Call) -> tuple[np.ndarray]:
    y_scale, y_zero, *rest = call.inputs
    parts = [
        quantised(dequantised(x, scale, zero), y_scale, y_zero, y_zero.dtype)
        for x, scale, zero in zip(rest[::3], rest[1::3], rest[2::3], strict=True)
    ]
    return (np.concatenate(parts, axis=int(call.attributes["axis"])),)


@meaning("QLinearWhere", domain=_DOMAIN)
def _where(call: Call) -> tuple[np.ndarray]:
    condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero = call.inputs
    left, right = (
        quantised(dequantised(v, scale, zero), z_scale, z_zero, x.dtype)
        for v, scale, zero in ((x, x_scale, x_zero), (y, y_scale, y_zero))
    )
    return (np.where(condition, left, right),)


@meaning("QLinearConv", domain=_DOMAIN)
def _conv(call: Call) -> tuple[np.ndarray]:
    function: Any = meaning_of("QLinearConv")
    if not call.attributes.get("channels_last", 0):
        return function(call)
    (y,) = function(replace(call, inputs=(channels_first(call.inputs[0]), *call.inputs[1:])))
    return (channels_last(y),)


@meaning("QGemm", domain=_DOMAIN)
def _gemm(call: Call) -> tuple[np.ndarray]:
    a, a_scale, a_zero, b, b_scale, b_zero, c = *call.inputs[:6], call.input(6)
    left = a.astype(np.float64) - _one(a_zero)
    right = b.astype(np.float64)
    left, right = (
        left.T if call.attributes.get("transA", 0) else left,
        right.T if call.attributes.get("transB", 0) else right,
    )
    right = right - (0.0 if b_zero is None else b_zero.astype(np.float64))
    total = np.matmul(left, right) + (0.0 if c is None else c.astype(np.float64))  # all exact: 8-bit products
    scales = _F32(call.attributes.get("alpha", 1.0)) * _one(a_scale) * b_scale.astype(_F32)
    if call.input(7) is None:
        return ((total.astype(_F32) * scales).astype(_F32),)
    y_zero = call.input(8)
    to = a.dtype if y_zero is None else y_zero.dtype
    whole = np.rint(total.astype(_F32) * (scales / _one(call.inputs[7]))).astype(np.float64) + _one(y_zero)
    return (_clipped(whole, to),)
