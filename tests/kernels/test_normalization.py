"""Normalisations against their definition in float64, for rows of every length and scales of every shape."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.normalization import select
from tests import naive
from tests.kernels.harness import run


def random(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(dtype)


@given(
    st.lists(st.sampled_from([0, 1, 2, 15, 16, 40]), min_size=1, max_size=3),
    st.data(),
    st.booleans(),
    st.integers(1, 3),
)
def test_layer_normalization_of_any_axis(shape: list[int], data: st.DataObject, biased: bool, team: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x, scale = random(*shape), random(*shape[axis:]) + 2
    bias = random(*shape[axis:]) if biased else None
    inputs = [x, scale, bias] if biased else [x, scale]
    attributes = {"axis": axis, "epsilon": 1e-3}
    (got,) = run("normalization", "LayerNormalization", inputs, [("float32", x.shape)], attributes, team=team)
    if x.size:
        expected = naive.normalize(x, axis % len(shape), scale, bias, 1e-3)
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=4e-6)


def test_the_mean_and_the_inverse_deviation_are_outputs_too() -> None:
    x = random(5, 19)
    outputs = [("float32", (5, 19)), ("float32", (5, 1)), ("float32", (5, 1))]
    _, mean, inverse = run("normalization", "LayerNormalization", [x, random(19)], outputs)
    np.testing.assert_allclose(mean, x.mean(1, keepdims=True, dtype=np.float64), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(inverse, 1 / np.sqrt(x.var(1, keepdims=True, dtype=np.float64) + 1e-5), rtol=1e-6)


def test_a_large_mean_does_not_drown_the_variance() -> None:
    x = random(3, 1000) + 10000
    (got,) = run("normalization", "LayerNormalization", [x, np.ones(1000, np.float32)], [("float32", x.shape)])
    np.testing.assert_allclose(got, naive.normalize(x, 1, np.ones(1000), None, 1e-5), atol=2e-3)


def test_rms_normalization_spreads_a_scale_of_another_shape() -> None:
    x, scale = random(4, 3, 37), random(3, 1) + 3
    (got,) = run("normalization", "RMSNormalization", [x, scale], [("float32", x.shape)], {"axis": 1})
    wide = x.astype(np.float64)
    expected = wide / np.sqrt(np.square(wide).mean((1, 2), keepdims=True) + 1e-5) * scale
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "groups"), [("InstanceNormalization", 6), ("GroupNormalization", 3)])
def test_channels_have_their_own_scale(op: str, groups: int, dtype: str) -> None:
    x = random(2, 6, 5, 7, dtype=dtype)
    scale, bias = random(6, dtype=dtype), random(6, dtype=dtype) - 1
    attributes = {"num_groups": groups} if op == "GroupNormalization" else {}
    version = 20  # from 21 on GroupNormalization standardises float64 in float32, which no kernel does
    (got,) = run("normalization", op, [x, scale, bias], [(dtype, x.shape)], attributes, version=version, team=2)
    rows = naive.normalize(x.reshape(2 * groups, -1), 1, None, None, 1e-5).reshape(x.shape)
    expected = rows * scale[:, None, None] + bias[:, None, None]
    np.testing.assert_allclose(got, expected, rtol=1e-4 if dtype == "float32" else 1e-9, atol=2e-6)


def test_what_is_not_served_is_declined() -> None:
    assert select("LayerNormalization", 17, [np.dtype("float16")] * 2, {}) is None
    assert select("LayerNormalization", 17, [np.dtype("float32")] * 2, {"stash_type": 11}) is None
