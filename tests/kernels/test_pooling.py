"""Pooling against its naive twin: padding, strides, dilations, ceil_mode, one to three axes, indices, NaN."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.pooling import select
from tests import naive
from tests.kernels.harness import run


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, Any], tuple[int, ...]]:
    """An input's spatial shape, attributes, and the output's spatial shape."""
    rank = draw(st.integers(1, 3))

    def each(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, strides, dilations = each(1, 3), each(1, 3), each(1, 2)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    spatial = [e + draw(st.integers(0, 20 if i == rank - 1 else 4)) for i, e in enumerate(extent)]
    before, after = ([draw(st.integers(0, k - 1)) for k in kernel] for _ in range(2))
    ceil = draw(st.integers(0, 1))
    outputs: list[int] = []
    for n, e, s, b, a in zip(spatial, extent, strides, before, after, strict=True):
        count = (n + b + a - e) // s + 1
        if ceil and (n + b + a - e) % s and count * s < n + b:
            count += 1
        outputs.append(count)
    attributes = {"kernel_shape": kernel, "strides": strides, "dilations": dilations, "pads": before + after}
    attributes |= {"ceil_mode": ceil, "count_include_pad": draw(st.integers(0, 1))}
    return tuple(spatial), attributes, tuple(outputs)


@given(windows(), st.sampled_from(["MaxPool", "AveragePool", "LpPool"]), st.integers(1, 3))
def test_any_window_agrees_with_its_twin(
    drawn: tuple[tuple[int, ...], dict[str, Any], tuple[int, ...]], op: str, team: int
) -> None:
    spatial, attributes, outputs = drawn
    x = np.random.default_rng(0).standard_normal((2, 3, *spatial)).astype(np.float32)
    (got,) = run("pooling", op, [x], [("float32", (2, 3, *outputs))], attributes, team=team)
    np.testing.assert_allclose(got, naive.pool(op, x, outputs, attributes), rtol=1e-5, atol=1e-6)


def test_the_places_of_the_largest_are_counted_through_the_tensor() -> None:
    x = np.random.default_rng(1).standard_normal((2, 2, 5, 7)).astype(np.float32)
    attributes = {"kernel_shape": [2, 3], "strides": [2, 2]}
    y, places = run("pooling", "MaxPool", [x], [("float32", (2, 2, 2, 3)), ("int64", (2, 2, 2, 3))], attributes)
    np.testing.assert_array_equal(x.reshape(-1)[places], y)
    (_, turned) = run(
        "pooling",
        "MaxPool",
        [x],
        [("float32", (2, 2, 2, 3)), ("int64", (2, 2, 2, 3))],
        {**attributes, "storage_order": 1},
    )
    np.testing.assert_array_equal(x.transpose(0, 1, 3, 2).reshape(-1)[turned], y)


def test_nan_is_the_largest_and_bytes_are_pooled_too() -> None:
    x = np.zeros((1, 1, 6), np.float32)
    x[0, 0, 2] = math.nan
    (got,) = run("pooling", "MaxPool", [x], [("float32", (1, 1, 3))], {"kernel_shape": [2], "strides": [2]})
    np.testing.assert_array_equal(got, [[[0, math.nan, 0]]])
    b = np.array([[[-5, -7, 3, 1]]], np.int8)
    (small,) = run("pooling", "MaxPool", [b], [("int8", (1, 1, 2))], {"kernel_shape": [2], "strides": [2]})
    assert small.tolist() == [[[-5, 3]]]


@pytest.mark.parametrize(("auto", "before"), [("SAME_UPPER", 0), ("SAME_LOWER", 1)])
def test_auto_pad_puts_the_odd_element_where_it_says(auto: str, before: int) -> None:
    x = np.arange(1, 7, dtype=np.float32).reshape(1, 1, 6)
    attributes = {"kernel_shape": [2], "strides": [1], "auto_pad": auto}
    (got,) = run("pooling", "MaxPool", [x], [("float32", x.shape)], attributes)
    padded = np.pad(x, [(0, 0), (0, 0), (before, 1 - before)], constant_values=-math.inf)
    np.testing.assert_array_equal(got, np.maximum(padded[..., :-1], padded[..., 1:]))


def test_what_is_not_served_is_declined() -> None:
    assert select("LpPool", 18, [np.dtype("float32")], {"kernel_shape": [2], "p": 3}) is None
    assert select("AveragePool", 18, [np.dtype("int8")], {"kernel_shape": [2]}) is None


def test_windows_longer_than_the_buffer_and_rows_of_many_chunks() -> None:
    x = np.random.default_rng(4).standard_normal((1, 2, 1500)).astype(np.float32)
    for op in ("MaxPool", "AveragePool"):
        for kernel, stride, outputs in ((700, 100, 9), (2, 1, 1499), (3, 7, 214)):
            attributes = {"kernel_shape": [kernel], "strides": [stride], "dilations": [1], "pads": [0, 0]}
            attributes |= {"count_include_pad": 0}
            (got,) = run("pooling", op, [x], [("float32", (1, 2, outputs))], attributes)
            np.testing.assert_allclose(got, naive.pool(op, x, (outputs,), attributes), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "pads"),
    [
        ((8, 8), (2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
        ((5, 7), (2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
        ((6, 9), (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
        ((9, 40), (3, 3), (2, 2), (1, 1), (1, 1, 1, 1)),
        ((7, 5), (3, 2), (3, 3), (2, 2), (2, 1, 0, 1)),
        ((1, 1), (3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    ],
)
def test_short_rows_of_many_planes_agree_with_their_twin_whatever_the_team(
    op: str,
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    pads: tuple[int, int, int, int],
) -> None:
    x = np.random.default_rng(5).standard_normal((3, 17, *size)).astype(np.float32)
    x[1, 2] = math.nan
    outputs = tuple(
        (n + pads[i] + pads[i + 2] - (k - 1) * d - 1) // s + 1
        for i, (n, k, s, d) in enumerate(zip(size, kernel, stride, dilation, strict=True))
    )
    attributes = {"kernel_shape": kernel, "strides": stride, "dilations": dilation, "pads": pads}
    for counting in (0, 1):
        given = {**attributes, "count_include_pad": counting}
        shapes = [("float32", (3, 17, *outputs))]
        alone, shared = (run("pooling", op, [x], shapes, given, team=team)[0] for team in (1, 5))
        np.testing.assert_array_equal(alone, shared)
        twin = naive.pool(op, np.nan_to_num(x), outputs, given)
        hit = np.zeros(alone.shape, bool)
        hit[1, 2] = True
        np.testing.assert_array_equal(np.isnan(alone), hit)
        np.testing.assert_allclose(alone[~hit], twin[~hit], rtol=1e-5, atol=1e-6)
