"""Quantisation against ONNX's formulas in numpy: per tensor and per axis, saturation, halves, NaN, empty ranges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.quantization import select
from tests.kernels.harness import run


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_quantize_and_dequantize_follow_their_formulas(dtype: str, axis: int | None) -> None:
    random = np.random.default_rng(0)
    x = (random.standard_normal((3, 4, 19)) * 200).astype(np.float32)
    x[0, 0, :5] = [0.5, 1.5, -0.5, math.inf, -math.inf]
    count = 1 if axis is None else x.shape[axis]
    scale = (random.random(count) + 0.5).astype(np.float32)
    info = np.iinfo(dtype)
    zero = random.integers(info.min, info.max, count).astype(dtype)
    if axis is None:
        scale, zero = scale.reshape(()), zero.reshape(())
    attributes = {} if axis is None else {"axis": axis}
    spread = [v if axis is None else v.reshape([-1 if i == axis % 3 else 1 for i in range(3)]) for v in (scale, zero)]
    (q,) = run("quantization", "QuantizeLinear", [x, scale, zero], [(dtype, x.shape)], attributes, team=2)
    expected = np.clip(np.rint(x / spread[0]).astype(np.float64) + spread[1], info.min, info.max).astype(dtype)
    np.testing.assert_array_equal(q, expected)
    (back,) = run("quantization", "DequantizeLinear", [q, scale, zero], [("float32", x.shape)], attributes)
    np.testing.assert_array_equal(
        back, (q.astype(np.int32) - spread[1].astype(np.int32)).astype(np.float32) * spread[0]
    )


def test_without_a_zero_point_uint8_is_made_and_nan_becomes_the_lowest() -> None:
    x = np.array([0, 2.5, 3.5, 1000, -1, math.nan], np.float32)
    one = np.array(1, np.float32)
    (q,) = run("quantization", "QuantizeLinear", [x, one], [("uint8", (6,))])
    assert q.tolist() == [0, 2, 4, 255, 0, 0]
    sums = np.array([-70000, 5], np.int32)
    (real,) = run("quantization", "DequantizeLinear", [sums, np.array(0.5, np.float32)], [("float32", (2,))])
    assert real.tolist() == [-35000, 2.5]


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=70))
def test_dynamic_quantization_finds_its_range(values: list[float]) -> None:
    x = np.array(values, np.float32)
    outputs = [("uint8", x.shape), ("float32", ()), ("uint8", ())]
    y, scale, zero = run("quantization", "DynamicQuantizeLinear", [x], outputs)
    low, high = np.minimum(0, x.min(initial=0)), np.maximum(0, x.max(initial=0))
    step = np.float32(1) if low == high else np.float32((high - low) / np.float32(255))
    if low != high and step == 0:
        return  # the range is below what float32 can divide by 255
    assert scale == step
    assert zero == np.clip(np.rint(np.float32(0) - low / step), 0, 255)
    np.testing.assert_array_equal(y, np.clip(np.rint(x / step) + np.float32(zero), 0, 255).astype(np.uint8))


def test_what_is_not_served_is_declined() -> None:
    real, byte = np.dtype("float32"), np.dtype("uint8")
    assert select("QuantizeLinear", 21, [real, real, byte], {"block_size": 32}) is None
    assert select("DequantizeLinear", 21, [byte, np.dtype("float16"), byte], {}) is None
