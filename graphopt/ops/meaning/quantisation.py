"""Quantised operators.

Scaling happens in the type that the text names (that of the scale), because a value next to a rounding boundary
becomes another integer when it is computed more accurately.  Sums of integer products are exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ops.meaning.cast import cast
from graphopt.ops.meaning.operands import axis_of
from graphopt.ops.table import Call, meaning

_RANGES = {DType.INT4: (-8, 7), DType.UINT4: (0, 15), DType.INT2: (-2, 1), DType.UINT2: (0, 3)}


def _spread(call: Call, v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A scale or zero point, shaped so that it broadcasts over x: per tensor, per axis or per block."""
    if v.ndim == 0 or (v.size == 1 and v.ndim <= 1):
        return v.reshape(())
    axis = axis_of(int(call.attributes.get("axis", 1)), x.ndim)
    if v.ndim == 1 and x.ndim != 1:
        return v.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    block = int(call.attributes.get("block_size", 0))
    return np.repeat(v, block, axis)[tuple(slice(0, n) for n in x.shape)] if block else v


@meaning("QuantizeLinear")
@meaning("QuantizeLinear", domain="com.microsoft")
def _quantize(call: Call) -> tuple[np.ndarray]:
    x, scale, zero = call.inputs[0], call.inputs[1], call.input(2)
    named = DType(int(call.attributes.get("output_dtype", 0) or DType.UINT8))
    to = named if zero is None else DType.of(zero.dtype)
    precision = int(call.attributes.get("precision", 0))
    kind = DType(precision).numpy if precision else scale.dtype
    scaled = x.astype(kind) / _spread(call, scale, x).astype(kind)
    shift: Any = 0 if zero is None else _spread(call, zero, x)
    if not to.is_integer:
        moved = scaled.astype(np.float32) + (0 if zero is None else shift.astype(np.float32))
        return (cast(moved, to, bool(call.attributes.get("saturate", 1))),)
    low, high = _RANGES.get(to) or (np.iinfo(to.numpy).min, np.iinfo(to.numpy).max)
    whole = np.rint(scaled.astype(np.float64)) + (0 if zero is None else shift.astype(np.float64))
    whole = np.where(np.isnan(whole), low, np.clip(whole, low, high))  # undefined in the text; here, as on x86
    return (whole.astype(np.int64).astype(to.numpy),)


@meaning("DequantizeLinear")
@meaning("DequantizeLinear", domain="com.microsoft")
def _dequantize(call: Call) -> tuple[np.ndarray]:
    x, scale, zero = call.inputs[0], call.inputs[1], call.input(2)
    given = int(call.attributes.get("output_dtype", 0))
    to = DType(given).numpy if given else scale.dtype
    exact = np.int64 if DType.of(x.dtype).is_integer else np.float32
    moved = x.astype(exact)
    if zero is not None:
        moved = moved - _spread(call, zero, x).astype(exact)
    return ((moved.astype(to) * _spread(call, scale, x).astype(to)).astype(to),)


@meaning("DynamicQuantizeLinear")
def _dynamic(call: Call) -> tuple[np.ndarray, ...]:
    quantised, scale, zero = quantise_dynamically(call.inputs[0])
    return (quantised, np.array(scale, np.float32), np.array(zero, np.uint8))


def quantise_dynamically(x: np.ndarray) -> tuple[np.ndarray, np.float32, int]:
    """uint8 elements, scale and zero point; the range always holds 0, and a range of 0 has scale 1."""
    low, high = np.float32(np.min(x, initial=0)), np.float32(np.max(x, initial=0))  # NaN, where there is one
    scale = np.float32(1) if high == low else np.float32((high - low) / np.float32(255))
    zero = int(np.clip(np.rint(np.float32(0) - low / scale), 0, 255)) if np.isfinite(low / scale) else 0
    whole = np.clip(np.rint(x / scale).astype(np.float64) + zero, 0, 255)
    return np.where(np.isnan(whole), 0, whole).astype(np.uint8), scale, zero


@meaning("MatMulInteger")
def _matmul_integer(call: Call) -> tuple[np.ndarray]:
    return (_exact_product(call.inputs[0], call.input(2), call.inputs[1], call.input(3)).astype(np.int32),)


def _exact_product(a: np.ndarray, a_zero: Any, b: np.ndarray, b_zero: Any) -> np.ndarray:
    """The product of (a − a_zero) and (b − b_zero) in int64: float64 sums of 8-bit products are exact."""
    left = a.astype(np.float64) - _shift(a_zero, a.ndim, row=True)
    right = b.astype(np.float64) - _shift(b_zero, b.ndim, row=False)
    return np.matmul(left, right).astype(np.int64)


def _shift(v: Any, rank: int, row: bool) -> np.ndarray:
    wide = np.zeros(()) if v is None else np.asarray(v).astype(np.float64)
    if wide.ndim == 1 and wide.size == 1:
        return wide.reshape(())
    return wide[:, None] if wide.ndim == 1 and row and rank > 1 else wide


@meaning("QLinearMatMul")
def _qlinear_matmul(call: Call) -> tuple[np.ndarray]:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = call.inputs
    total = _exact_product(a, a_zero, b, b_zero)
    scales = (_shift(a_scale, a.ndim, row=True), _shift(b_scale, b.ndim, row=False), _shift(y_scale, 2, row=True))
    left, right, out = (v.astype(np.float32) for v in scales)
    scaled = np.rint(total.astype(np.float32) * (left * right / out)).astype(np.float64)
    whole = scaled + _shift(y_zero, total.ndim, row=True)
    to = DType.of(y_zero.dtype)
    if not to.is_integer:
        return (cast(whole, to),)
    low, high = np.iinfo(y_zero.dtype).min, np.iinfo(y_zero.dtype).max
    return (np.clip(whole, low, high).astype(y_zero.dtype),)


@meaning("DynamicQuantizeMatMul", domain="com.microsoft")
def _dynamic_quantize_matmul(call: Call) -> tuple[np.ndarray]:
    a, b, b_scale, b_zero, bias = call.inputs[0], call.inputs[1], call.inputs[2], call.input(3), call.input(4)
    quantised, scale, zero = quantise_dynamically(a)
    y = _exact_product(quantised, np.array(zero), b, b_zero).astype(np.float32) * (scale * b_scale)
    return (y if bias is None else y + bias,)


@meaning("MatMulIntegerToFloat", domain="com.microsoft")
def _matmul_integer_to_float(call: Call) -> tuple[np.ndarray]:
    a, b, a_scale, b_scale = call.inputs[:4]
    y = _exact_product(a, call.input(4), b, call.input(5)).astype(np.float32) * (a_scale * b_scale)
    return (y if call.input(6) is None else y + call.inputs[6],)
