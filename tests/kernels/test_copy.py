"""Strided copies against numpy, for every moving operator, element size and team."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt_kernels.bind.copy import select
from tests.kernels.harness import run

DTYPES = ["uint8", "float16", "float32", "int64"]


def counted(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    """Elements that all differ (as far as the dtype can)."""
    return np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape).astype(dtype)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


sizes = st.sampled_from([0, 1, 2, 3, 7, 8, 16, 17, 33])


@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 3))
def test_any_transposition_is_numpys(data: st.DataObject, dtype: str, team: int) -> None:
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=4)))
    order = data.draw(st.permutations(range(len(shape))))
    x = counted(shape, dtype)
    expected = x.transpose(order)
    (got,) = run("copy", "Transpose", [x], [(dtype, expected.shape)], {"perm": list(order)}, team=team)
    np.testing.assert_array_equal(got, expected)


@given(st.data(), st.integers(1, 3))
def test_slices_may_have_any_start_end_and_step(data: st.DataObject, team: int) -> None:
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3)))
    x = counted(shape)
    bound = st.integers(-40, 40)
    count = data.draw(st.integers(1, len(shape)))
    axes = list(data.draw(st.permutations(range(len(shape)))))[:count]
    starts, ends = ([data.draw(bound) for _ in axes] for _ in range(2))
    steps = [data.draw(st.sampled_from([-3, -1, 1, 2, 50])) for _ in axes]
    cut = [slice(None)] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        size = shape[axis]  # ONNX clamps where Python's negative ends would wrap once more
        low = start + size if start < 0 else start
        high = end + size if end < 0 else end
        if step > 0:
            cut[axis] = slice(min(max(low, 0), size), min(max(high, 0), size), step)
        else:
            last = min(max(high, -1), size - 1)
            cut[axis] = slice(min(max(low, 0), size - 1) if size else 0, None if last < 0 else last, step)
    expected = x[tuple(cut)]
    inputs = [x, ints(*starts), ints(*ends), ints(*axes), ints(*steps)]
    (got,) = run("copy", "Slice", inputs, [("float32", expected.shape)], team=team, known=[1, 2, 3, 4])
    np.testing.assert_array_equal(got, expected)


@given(st.data(), st.sampled_from(DTYPES), st.integers(1, 3))
def test_split_undoes_concat(data: st.DataObject, dtype: str, team: int) -> None:
    shape = data.draw(st.lists(sizes, min_size=1, max_size=3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    parts: list[np.ndarray] = []
    for i, size in enumerate(data.draw(st.lists(sizes, min_size=1, max_size=4))):
        shape[axis] = size
        parts.append(counted(tuple(shape), dtype) + np.array(i, dtype))
    whole = np.concatenate(parts, axis)
    (got,) = run("copy", "Concat", parts, [(dtype, whole.shape)], {"axis": axis}, team=team)
    np.testing.assert_array_equal(got, whole)
    back = run("copy", "Split", [whole], [(dtype, part.shape) for part in parts], {"axis": axis}, team=team)
    for part, copy in zip(parts, back, strict=True):
        np.testing.assert_array_equal(copy, part)


@given(st.lists(sizes, min_size=1, max_size=3), st.data(), st.integers(1, 2))
def test_pads_fill_and_negative_pads_cut(shape: list[int], data: st.DataObject, team: int) -> None:
    x = counted(tuple(shape)) + 1
    low, high = ([data.draw(st.integers(-1, 3)) for _ in shape] for _ in range(2))
    result = tuple(max(s + a + b, 0) for s, a, b in zip(shape, low, high, strict=True))
    if any(s + a + b < 0 or s < -a or s < -b for s, a, b in zip(shape, low, high, strict=True)):
        return
    expected = np.pad(x, [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)], constant_values=7)
    cut = tuple(slice(max(-a, 0), max(-a, 0) + size) for a, size in zip(low, result, strict=True))
    fill = np.array(7, np.float32)
    inputs = [x, ints(*low, *high), fill]
    (got,) = run("copy", "Pad", inputs, [("float32", result)], team=team, known=[1])
    np.testing.assert_array_equal(got, expected[cut])


def test_pad_without_a_value_fills_with_zero_and_old_pads_are_attributes() -> None:
    x = counted((2, 3), "int64") + 1
    (got,) = run("copy", "Pad", [x, ints(1, 0, 0, 2)], [("int64", (3, 5))], known=[1])
    np.testing.assert_array_equal(got, np.pad(x, ((1, 0), (0, 2))))
    y = counted((2, 3)) + 1
    (got,) = run("copy", "Pad", [y], [("float32", (3, 5))], {"pads": [1, 0, 0, 2], "value": -2.5}, version=2)
    np.testing.assert_array_equal(got, np.pad(y, ((1, 0), (0, 2)), constant_values=-2.5))


@pytest.mark.parametrize("dtype", DTYPES)
def test_expand_tile_and_constant_of_shape_repeat(dtype: str) -> None:
    x = counted((3, 1, 5), dtype)
    (got,) = run("copy", "Expand", [x, ints(2, 1, 4, 1)], [(dtype, (2, 3, 4, 5))], known=[1])
    np.testing.assert_array_equal(got, np.broadcast_to(x, (2, 3, 4, 5)))
    (got,) = run("copy", "Tile", [x, ints(2, 3, 1)], [(dtype, (6, 3, 5))], known=[1])
    np.testing.assert_array_equal(got, np.tile(x, (2, 3, 1)))
    value = np.array([3], dtype)
    (got,) = run("copy", "ConstantOfShape", [ints(2, 70)], [(dtype, (2, 70))], {"value": value}, known=[0], team=2)
    np.testing.assert_array_equal(got, np.full((2, 70), 3, dtype))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back(mode: str) -> None:
    x = counted((2, 12, 3, 4))
    n, c, h, w = x.shape
    split = (n, 2, 2, c // 4, h, w) if mode == "DCR" else (n, c // 4, 2, 2, h, w)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    expected = x.reshape(split).transpose(order).reshape(n, c // 4, h * 2, w * 2)
    (got,) = run("copy", "DepthToSpace", [x], [("float32", expected.shape)], {"blocksize": 2, "mode": mode})
    np.testing.assert_array_equal(got, expected)
    if mode == "DCR":
        (back,) = run("copy", "SpaceToDepth", [got], [("float32", x.shape)], {"blocksize": 2})
        np.testing.assert_array_equal(back, x)


def test_a_large_single_row_is_shared_by_the_team() -> None:
    x = counted((100_003,))
    (got,) = run("copy", "Reshape", [x, ints(-1)], [("float32", x.shape)], known=[1], team=3)
    np.testing.assert_array_equal(got, x)


def test_modes_and_dtypes_without_a_copy_are_declined() -> None:
    assert select("Pad", 18, [np.dtype("float32")], {"mode": "reflect"}) is None
    assert select("Transpose", 13, [np.dtype("complex128")], {}) is None
    assert select("Transpose", 13, [np.dtype(object)], {}) is None
    with pytest.raises(ValueError, match="does not permute"):
        run("copy", "Transpose", [counted((2, 3))], [("float32", (3, 2))], {"perm": [0, 0]})
