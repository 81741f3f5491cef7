"""Cast, CastLike, BitCast: from one element type to another.

What the text leaves undefined (a float outside the range of the integer type) is whatever the machine's conversion
gives; integers out of range wrap around, floats become infinite or, for the 8-bit floats, saturate as asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ir.dtype import DType
from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.precision import is_float
from graphopt.ops.table import Call, meaning

_SATURATING = {DType.FLOAT8E4M3FN, DType.FLOAT8E4M3FNUZ, DType.FLOAT8E5M2, DType.FLOAT8E5M2FNUZ}


@meaning("Cast")
def _cast(call: Call) -> tuple[np.ndarray]:
    return (_converted(call, call.inputs[0], DType(int(call.attributes["to"]))),)


@meaning("CastLike")
def _cast_like(call: Call) -> tuple[np.ndarray]:
    x, like = call.inputs
    return (_converted(call, x, DType.STRING if like.dtype == object else DType.of(like.dtype)),)


def _converted(call: Call, x: np.ndarray, to: DType) -> np.ndarray:
    if symbolic.is_symbolic(x):
        if to in (DType.INT64, DType.INT32):
            return x
        return cast(np.array(symbolic.ints(x), np.int64).reshape(x.shape), to)
    return cast(x, to, bool(call.attributes.get("saturate", 1)), str(call.attributes.get("round_mode", "up")))


def cast(x: np.ndarray, to: DType, saturate: bool = True, round_mode: str = "up") -> np.ndarray:
    """The elements as another type; `saturate` and `round_mode` are Cast's attributes for the 8-bit floats."""
    if x.dtype == object:
        return _from_text(x, to, saturate, round_mode)
    if to is DType.STRING:
        return _text(x)
    if to is DType.BOOL:
        return np.asarray(x != 0).astype(np.bool_)
    if to is DType.FLOAT8E8M0:
        return _power_of_two(x.astype(np.float32), saturate, round_mode)
    if to in _SATURATING:
        return _small_float(x, to, saturate)
    if to in (DType.INT4, DType.UINT4, DType.INT2, DType.UINT2):
        return _small_integer(x, to)
    if x.dtype.kind == "V":  # ml_dtypes: by way of a type numpy knows well
        x = x.astype(np.float32) if is_float(x.dtype) else x.astype(np.int32)
    return x.astype(to.numpy)


def _from_text(x: np.ndarray, to: DType, saturate: bool, round_mode: str) -> np.ndarray:
    if to is DType.STRING:
        return x
    texts = [item.decode() if isinstance(item, bytes) else str(item) for item in x.flat]
    if to.is_integer:
        values: list[Any] = [int(t) if t.strip().lstrip("+-").isdigit() else int(float(t)) for t in texts]
        return np.array(values, object).astype(to.numpy).reshape(x.shape)
    floats = np.array([float(t) for t in texts], np.float64).reshape(x.shape)
    return cast(floats, to, saturate, round_mode)


def _text(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "V":
        x = x.astype(np.float32) if is_float(x.dtype) else x.astype(np.int32)
    names = {"nan": "NaN", "inf": "INF", "-inf": "-INF"}
    items = [names.get(text, text) for text in (str(item) for item in x.ravel())]
    return symbolic.objects(items, x.shape)


def _small_float(x: np.ndarray, to: DType, saturate: bool) -> np.ndarray:
    import ml_dtypes

    wide = x.astype(np.float32)
    small = wide.astype(to.numpy)
    if not saturate:
        return small
    most = float(ml_dtypes.finfo(to.numpy).max)
    over = ~np.isfinite(small.astype(np.float32)) & ~np.isnan(wide)
    return np.where(over, np.copysign(np.float32(most), wide), small.astype(np.float32)).astype(to.numpy)


def _power_of_two(x: np.ndarray, saturate: bool, round_mode: str) -> np.ndarray:
    """E8M0 holds 2^(e−127) for e in 0..254 and NaN as 255."""
    bits = np.abs(x).view(np.uint32)
    exponent, fraction = (bits >> 23).astype(np.int32), bits & 0x7FFFFF
    up = {"up": fraction > 0, "down": np.zeros_like(fraction, bool), "nearest": fraction >= 0x400000}[round_mode]
    up = np.where((exponent == 0) & (round_mode == "up"), fraction > 0x400000, up)  # 2^−127 is subnormal in float32
    code = exponent + up.astype(np.int32)
    if saturate:
        code = np.minimum(code, 254)
    else:
        code = np.where((x == 0) | (code > 254), 255, code)
    code = np.where(np.isnan(x), 255, code)
    return code.astype(np.uint8).view(DType.FLOAT8E8M0.numpy)


def _small_integer(x: np.ndarray, to: DType) -> np.ndarray:
    whole = x.astype(np.float32) if x.dtype.kind == "V" and is_float(x.dtype) else x
    whole = whole.astype(np.int64)
    bits = to.bits
    kept = whole & ((1 << bits) - 1)  # higher bits are discarded, two's complement
    if to in (DType.INT4, DType.INT2):
        kept = np.where(kept >= 1 << (bits - 1), kept - (1 << bits), kept)
    return kept.astype(np.int8).astype(to.numpy)


@meaning("BitCast")
def _bit_cast(call: Call) -> tuple[np.ndarray]:
    x, to = call.inputs[0], DType(int(call.attributes["to"]))
    if DType.of(x.dtype).bits != to.bits:
        raise ModelError(f"{DType.of(x.dtype)} and {to} differ in width")
    if to.bits < 8:  # one element a byte: only the low bits count
        raw = np.ascontiguousarray(x).view(np.uint8) & ((1 << to.bits) - 1)
        return (_small_integer(raw, to) if to.is_integer else raw.view(to.numpy),)
    return (np.ascontiguousarray(x).view(to.numpy).reshape(x.shape),)
