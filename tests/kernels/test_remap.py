"""Padding by reflection and the like, and resizing to the nearest element, against numpy and the text's formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.remap import select
from tests.kernels.harness import run


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.data(),
    st.sampled_from(["reflect", "edge", "wrap"]),
    st.sampled_from(["uint8", "float32", "int64"]),
    st.integers(1, 3),
)
def test_padding_is_numpys(shape: list[int], data: st.DataObject, mode: Any, dtype: str, team: int) -> None:
    x = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    pads = [(data.draw(st.integers(0, 6)), data.draw(st.integers(0, 6))) for _ in shape]
    expected = np.pad(x, pads, mode=mode)
    flat = np.array([a for a, _ in pads] + [b for _, b in pads], np.int64)
    (got,) = run("remap", "Pad", [x, flat], [(dtype, expected.shape)], {"mode": mode}, team=team, known=[1])
    np.testing.assert_array_equal(got, expected)


def test_only_the_axes_named_are_padded() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    inputs = [x, np.array([1, 2], np.int64), None, np.array([-1], np.int64)]
    (got,) = run("remap", "Pad", inputs, [("float32", (3, 7))], {"mode": "reflect"}, known=[1, 3])
    np.testing.assert_array_equal(got, np.pad(x, ((0, 0), (1, 2)), mode="reflect"))


@pytest.mark.parametrize(
    ("mode", "rounding", "count", "expected"),
    [
        ("asymmetric", "floor", 8, [0, 0, 1, 1, 2, 2, 3, 3]),
        ("half_pixel", "round_prefer_floor", 8, [0, 0, 1, 1, 2, 2, 3, 3]),
        ("half_pixel", "round_prefer_floor", 2, [0, 2]),
        ("half_pixel", "round_prefer_ceil", 2, [1, 3]),
        ("align_corners", "round_prefer_floor", 7, [0, 0, 1, 1, 2, 2, 3]),
        ("align_corners", "ceil", 3, [0, 2, 3]),
        ("pytorch_half_pixel", "floor", 1, [0]),
        ("asymmetric", "floor", 4, [0, 1, 2, 3]),
    ],
)
def test_the_nearest_element_is_that_of_the_text(mode: str, rounding: str, count: int, expected: list[int]) -> None:
    x = np.array([[0, 1, 2, 3], [4, 5, 6, 7]], np.float32)
    attributes = {"coordinate_transformation_mode": mode, "nearest_mode": rounding}
    scales = np.array([1, count / 4], np.float32)
    by_scale = run("remap", "Resize", [x, None, scales], [("float32", (2, count))], attributes, known=[2])[0]
    sizes = np.array([2, count], np.int64)
    by_size = run("remap", "Resize", [x, None, None, sizes], [("float32", (2, count))], attributes)[0]
    np.testing.assert_array_equal(by_scale, x[:, expected])
    np.testing.assert_array_equal(by_size, x[:, expected])


def test_images_are_doubled() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)
    attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    scales = np.array([1, 1, 2, 2], np.float32)
    (got,) = run("remap", "Resize", [x, None, scales], [("float32", (2, 3, 10, 14))], attributes, known=[2], team=2)
    np.testing.assert_array_equal(got, x.repeat(2, 2).repeat(2, 3))


def test_what_is_not_served_is_declined() -> None:
    real = [np.dtype("float32")]
    assert select("Resize", 13, real, {"mode": "linear"}) is None
    assert select("Resize", 10, real, {}) is None
    assert select("Pad", 13, real, {"mode": "constant"}) is None
