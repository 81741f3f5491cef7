"""Softmax against its naive twin: every axis, long and short rows, NaN, infinities, and the older opsets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.softmax import select
from tests import naive
from tests.kernels.harness import run


def softmax(x: np.ndarray, axis: int, op: str = "Softmax", team: int = 1) -> np.ndarray:
    return run("softmax", op, [x], [(x.dtype, x.shape)], {"axis": axis}, team=team)[0]


@given(
    st.lists(st.sampled_from([0, 1, 2, 5, 16, 33]), min_size=1, max_size=3),
    st.data(),
    st.sampled_from(["Softmax", "LogSoftmax"]),
    st.integers(1, 3),
)
def test_any_axis_of_any_shape(shape: list[int], data: st.DataObject, op: str, team: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = (np.random.default_rng(0).standard_normal(shape) * 5).astype(np.float32)
    expected = naive.softmax(x, axis, op == "LogSoftmax")
    np.testing.assert_allclose(softmax(x, axis, op, team), expected, rtol=4e-6, atol=2e-6 if op == "LogSoftmax" else 0)


def test_large_and_infinite_elements_do_not_overflow() -> None:
    rows = [[1e30, 1e30, -1e30], [math.inf, 0, 0], [-math.inf, 0, 1], [math.nan, 0, 1], [-math.inf] * 3]
    x = np.array(rows, np.float32)
    got = softmax(x, -1)
    np.testing.assert_array_equal(got[0], [0.5, 0.5, 0])
    assert np.isnan(got[[1, 3, 4]]).any(1).all()
    assert got[2, 0] == 0
    assert got[2].sum() == pytest.approx(1)


def test_rows_sum_to_one_and_the_output_may_be_the_input() -> None:
    x = np.random.default_rng(1).standard_normal((3, 1000)).astype(np.float64)
    np.testing.assert_allclose(softmax(x, 1).sum(1), 1, rtol=1e-14)


def test_before_opset_13_the_axis_splits_a_matrix() -> None:
    x = np.random.default_rng(2).standard_normal((2, 3, 5)).astype(np.float32)
    (got,) = run("softmax", "Softmax", [x], [("float32", x.shape)], version=11)
    np.testing.assert_allclose(got.reshape(2, 15), naive.softmax(x.reshape(2, 15), 1), rtol=4e-6)


def test_other_dtypes_are_declined() -> None:
    assert select("Softmax", 13, [np.dtype("float16")], {}) is None
