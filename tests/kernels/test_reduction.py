"""Reductions against their naive twins: every operator, sets of axes, sizes 0 and 1, NaN and infinities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.reduction import select
from tests import naive
from tests.kernels.harness import run

FLOAT_OPS = sorted(naive.REDUCE)


def reduce(op: str, x: np.ndarray, axes: tuple[int, ...], team: int = 1) -> np.ndarray:
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    attributes = {"axes": list(axes), "noop_with_empty_axes": 1}
    return run("reduction", op, [x], [(x.dtype, shape)], attributes, team=team)[0]


@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 17, 70]), min_size=1, max_size=4).filter(lambda s: math.prod(s) < 20000),
    st.data(),
    st.sampled_from(["ReduceSum", "ReduceMax", "ReduceMean"]),
    st.integers(1, 3),
)
def test_any_axes_of_any_shape(shape: list[int], data: st.DataObject, op: str, team: int) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_allclose(reduce(op, x, axes, team), naive.reduce(op, x, axes), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("op", FLOAT_OPS)
def test_every_operator_agrees_with_its_twin_in_both_layouts(op: str) -> None:
    x = np.random.default_rng(1).standard_normal((3, 37, 41)).astype(np.float32)
    x = np.abs(x) if op == "ReduceLogSum" else x
    for axes in ((1,), (2,), (0, 2), (0, 1)):
        np.testing.assert_allclose(reduce(op, x, axes), naive.reduce(op, x, axes), rtol=2e-7, err_msg=f"{op} {axes}")


@pytest.mark.parametrize("dtype", ["int32", "int64", "int8", "uint8", "float64", "float16"])
def test_other_dtypes_agree_with_their_twins(dtype: str) -> None:
    random = np.random.default_rng(2)
    x = (
        random.integers(0 if dtype == "uint8" else -100, 100, (5, 39)) if dtype[0] != "f" else random.random((5, 39))
    ).astype(dtype)
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceProd"):
        for axes in ((0,), (1,)):
            got, expected = reduce(op, x, axes), naive.reduce(op, x, axes)
            np.testing.assert_allclose(
                got, expected, rtol=1e-14 if dtype == "float64" else 1e-3 if dtype == "float16" else 0
            )


def test_nan_and_infinities_propagate() -> None:
    x = np.zeros((6, 80), np.float32)
    x[0, 3], x[1, 79], x[2, 5], x[3, 4], x[3, 70] = math.nan, math.inf, -math.inf, math.inf, -math.inf
    for op in ("ReduceMax", "ReduceMin", "ReduceSum", "ReduceL2"):
        for axes in ((0,), (1,)):
            with np.errstate(invalid="ignore"):
                np.testing.assert_array_equal(reduce(op, x, axes), naive.reduce(op, x, axes), err_msg=op)


def test_nothing_to_reduce_gives_the_neutral_value() -> None:
    x = np.zeros((3, 0), np.float32)
    for op, value in (("ReduceSum", 0), ("ReduceProd", 1), ("ReduceMax", -math.inf), ("ReduceMin", math.inf)):
        np.testing.assert_array_equal(reduce(op, x, (1,)), np.full((3, 1), value, np.float32))
    assert np.isnan(reduce("ReduceMean", x, (1,))).all()


def test_a_long_sum_is_rounded_once() -> None:
    x = np.full(1_000_003, 0.1, np.float32)
    expected = np.float32(np.float64(np.float32(0.1)) * x.size)
    assert reduce("ReduceSum", x, (0,))[0] == expected
    assert (reduce("ReduceSum", np.stack([x, x], 1), (0,)) == expected).all()


def test_axes_may_be_an_input_left_out_or_negative() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    (got,) = run("reduction", "ReduceSum", [x, np.array([-2], np.int64)], [("float32", (2, 4))], known=[1])
    np.testing.assert_array_equal(got, x.sum(1))
    (got,) = run("reduction", "ReduceSum", [x], [("float32", ())])
    assert got == x.sum()
    (got,) = run("reduction", "GlobalAveragePool", [x], [("float32", (2, 3, 1))])
    np.testing.assert_array_equal(got, x.mean(2, keepdims=True))


def test_what_is_not_served_is_declined() -> None:
    assert select("ReduceSum", 13, [np.dtype("bool")], {}) is None
    assert select("ReduceMax", 20, [np.dtype("bool")], {}) is not None
    with pytest.raises(ValueError, match="axis 3 is outside rank 1"):
        reduce("ReduceSum", np.zeros(3, np.float32), (3,))
