"""Scatters against plain loops: order of writes, reductions, negative indices, and indices outside."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.kernels.harness import run

COMBINE: dict[str, Any] = {
    "none": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "max": max,
    "min": min,
}


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("reduction", ["none", "add"])
def test_elements_go_where_their_index_says(reduction: str, axis: int) -> None:
    random = np.random.default_rng(0)
    x, updates = random.standard_normal((4, 5, 3)), random.standard_normal((3, 4, 2))
    index = random.integers(-x.shape[axis], x.shape[axis], updates.shape)
    expected = x.copy()
    for place in np.ndindex(*updates.shape):
        to = list(place)
        to[axis] = int(index[place])
        expected[tuple(to)] = COMBINE[reduction](expected[tuple(to)], updates[place])
    inputs = [x, index, updates]
    attributes = {"axis": axis, "reduction": reduction}
    (got,) = run("scatter", "ScatterElements", inputs, [("float64", x.shape)], attributes, team=2)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("reduction", sorted(COMBINE))
def test_slices_go_where_their_tuples_say_and_the_last_stays(reduction: str) -> None:
    random = np.random.default_rng(1)
    x, updates = random.standard_normal((4, 5, 6)).astype(np.float32), random.standard_normal((7, 6)).astype(np.float32)
    index = np.array([[0, 1], [3, 4], [0, 1], [-1, -1], [2, 2], [1, 0], [0, 1]], np.int32)
    expected = x.copy()
    for i, (a, b) in enumerate(index):
        for k in range(6):
            expected[a, b, k] = COMBINE[reduction](expected[a, b, k], updates[i, k])
    inputs = [x, index, updates]
    (got,) = run("scatter", "ScatterND", inputs, [("float32", x.shape)], {"reduction": reduction}, team=3)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("index", [4, -5, 2**62, -(2**63), 2**63 - 1])
def test_an_index_outside_is_told_and_writes_nowhere(index: int) -> None:
    x, updates = np.arange(12, dtype=np.int64).reshape(3, 4), np.array([[7, 7]])
    with pytest.raises(IndexError, match=f"an index of {index} is outside axis 1 of size 4"):
        run("scatter", "ScatterElements", [x, np.array([[1, index]]), updates], [("int64", (3, 4))], {"axis": 1})
    with pytest.raises(IndexError, match=f"an index of {index} is outside axis 1 of size 4"):
        run("scatter", "ScatterND", [x, np.array([[[0, 3], [2, index]]]), updates], [("int64", (3, 4))])
    with pytest.raises(IndexError, match="an index of 3 is outside axis 0 of size 3"):
        run("scatter", "ScatterND", [x[:, :0], np.array([[3]]), updates[:, :0]], [("int64", (3, 0))])


def test_nothing_may_be_written() -> None:
    x, far, new = np.arange(4, dtype=np.int64), np.array([[9], [-9], [1]]), np.array([7, 7, 8])
    (same,) = run("scatter", "ScatterND", [x, far[:0], new[:0]], [("int64", (4,))])
    assert same.tolist() == [0, 1, 2, 3]
