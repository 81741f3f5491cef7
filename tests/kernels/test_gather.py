"""Gathers against numpy: negative indices, every axis, batches, and indices that lie outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.harness import run

sizes = st.lists(st.sampled_from([1, 2, 5, 17, 40]), min_size=1, max_size=3)


@given(sizes, sizes, st.data(), st.sampled_from(["uint8", "float32", "int64"]), st.integers(1, 3))
def test_gather_is_numpys_take(shape: list[int], count: list[int], data: st.DataObject, dtype: str, team: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    index = np.random.default_rng(0).integers(-shape[axis], shape[axis], count[:2])
    expected = np.take(x, index, axis=axis)
    (got,) = run("gather", "Gather", [x, index], [(dtype, expected.shape)], {"axis": axis}, team=team)
    np.testing.assert_array_equal(got, expected)


@given(sizes, st.data(), st.integers(1, 2))
def test_gather_elements_is_numpys_take_along_axis(shape: list[int], data: st.DataObject, team: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    picked = [3 if i == axis % len(shape) else data.draw(st.integers(1, size)) for i, size in enumerate(shape)]
    index = np.random.default_rng(1).integers(-shape[axis], shape[axis], picked).astype(np.int32)
    part = x[tuple(slice(None) if i == axis % len(shape) else slice(0, n) for i, n in enumerate(picked))]
    expected = np.take_along_axis(part, index.astype(np.int64), axis)
    (got,) = run("gather", "GatherElements", [x, index], [("float32", expected.shape)], {"axis": axis}, team=team)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("batches", [0, 1])
def test_gather_nd_picks_slices_by_tuples(batches: int) -> None:
    x = np.random.default_rng(2).standard_normal((3, 4, 5, 6)).astype(np.float32)
    random = np.random.default_rng(3)
    limits = np.array(x.shape[batches : batches + 2])
    index = random.integers(-limits, limits, (3, 7, 2))
    if batches:
        expected = np.stack([x[b][tuple(index[b].T)] for b in range(3)])
    else:
        expected = x[tuple(np.moveaxis(index, -1, 0))]
    attributes = {"batch_dims": batches}
    (got,) = run("gather", "GatherND", [x, index], [("float32", expected.shape)], attributes, team=2)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("index", [5, -6, 2**62, -(2**63), 2**63 - 1])
@pytest.mark.parametrize("team", [1, 3])
def test_an_index_outside_is_told_and_reads_no_foreign_memory(index: int, team: int) -> None:
    x = np.arange(35, dtype=np.float32).reshape(7, 5)
    outside = f"an index of {index} is outside axis 1 of size 5"
    with pytest.raises(IndexError, match=outside):
        run("gather", "Gather", [x, np.array([4, -5, index])], [("float32", (7, 3))], {"axis": 1}, team=team)
    with pytest.raises(IndexError, match=outside):
        run("gather", "GatherElements", [x, np.array([[0, index]])], [("float32", (1, 2))], {"axis": 1}, team=team)
    with pytest.raises(IndexError, match=outside):
        run("gather", "GatherND", [x, np.array([[6, 4], [-7, index]])], [("float32", (2,))], team=team)
    attributes = {"batch_dims": 1}
    with pytest.raises(IndexError, match=outside):
        run("gather", "GatherND", [x[:1], np.array([[index]])], [("float32", (1,))], attributes, team=team)


def test_an_index_outside_is_told_even_where_nothing_is_picked() -> None:
    with pytest.raises(IndexError, match="an index of 7 is outside axis 0 of size 3"):
        run("gather", "Gather", [np.zeros((3, 0), np.float32), np.array([2, 7])], [("float32", (2, 0))])


def test_an_empty_axis_is_refused() -> None:
    x = np.arange(5, dtype=np.float32)
    with pytest.raises(ValueError, match="empty array"):
        run("gather", "Gather", [x[:0], np.array([0])], [("float32", (1,))])
