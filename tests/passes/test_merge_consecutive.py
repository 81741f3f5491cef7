"""merge-consecutive: two moves that are one, and those that are not."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import DType
from graphopt.passes import MergeConsecutive
from graphopt.passes.merge_consecutive import holds_exactly
from graphopt.testing.rewrites import assert_rewrites, assert_unchanged

PASS = MergeConsecutive()
SHAPES = {"to_pairs": np.array([-1, 2]), "to_flat": np.array([-1]), "front": np.array([0]), "keep": np.array([0, -1])}


def used(text: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in SHAPES.items() if name in text}


def test_transposes_compose() -> None:
    assert_rewrites(
        PASS,
        "(float[A,B,C] x) => (y) { t = Transpose<perm=[1,2,0]>(x) y = Transpose<perm=[0,2,1]>(t) }",
        "(float[A,B,C] x) => (y) { y = Transpose<perm=[1,0,2]>(x) }",
    )


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        ("Unsqueeze(x, front)", "Squeeze(t, front)"),
        ("Flatten(x)", "Reshape(t, keep)"),
    ],
)
def test_a_relayout_that_is_taken_back_is_nothing(inner: str, outer: str) -> None:
    text = f"(float[4,6] x) => (y) {{ t = {inner} s = {outer} y = Neg(s) }}"
    assert_rewrites(PASS, text, "(float[4,6] x) => (y) { y = Neg(x) }", used(text))


def test_relayouts_become_one_reshape() -> None:
    text = "(float[N,6] x) => (y) { t = Reshape(x, to_flat) y = Reshape(t, to_pairs) }"
    after = "(float[N,6] x) => (y) { y = Reshape(x, to_pairs) }"
    assert_rewrites(PASS, text, after, SHAPES)


def test_a_shape_with_two_unknowns_is_not_written_down() -> None:
    text = "(float[N,M,1] x) => (y) { t = Unsqueeze(x, front) y = Squeeze(t, last) }"
    tensors = {"front": np.array([0]), "last": np.array([-1])}
    assert_unchanged(PASS, text, tensors, reason="cannot be written as a constant")


@pytest.mark.parametrize(
    ("source", "middle", "target", "merged"),
    [
        ("float16", 1, 11, True),
        ("int8", 6, 1, True),
        ("bool", 7, 1, True),
        ("uint8", 5, 7, True),
        ("float", 6, 1, False),
        ("int64", 1, 11, False),
        ("float", 10, 1, False),
        ("int8", 2, 6, False),
        ("float", 8, 1, False),
    ],
)
def test_a_cast_is_left_out_where_the_type_between_holds_every_value(
    source: str, middle: int, target: int, merged: bool
) -> None:
    before = f"({source}[N] x) => (y) {{ t = Cast<to={middle}>(x) y = Cast<to={target}>(t) }}"
    if merged:
        assert_rewrites(PASS, before, f"({source}[N] x) => (y) {{ y = Cast<to={target}>(x) }}")
    else:
        assert_unchanged(PASS, before, reason="does not hold every")


SMALL = [
    dtype
    for dtype in DType
    if dtype is not DType.STRING and dtype.bits in (8, 16) and dtype.numpy.itemsize <= 2 and dtype.numpy.kind in "iuf"
]
"""The types of numpy's own that are small enough to try every value."""


@pytest.mark.parametrize("narrow", SMALL)
def test_a_type_holds_another_only_if_every_value_survives_the_way_there_and_back(narrow: DType) -> None:
    raw = np.arange(256 if narrow.bits == 8 else 65536, dtype=np.uint8 if narrow.bits == 8 else np.uint16)
    values = raw.view(narrow.numpy)
    values = values[np.isfinite(values)]
    for wide in (DType.INT8, DType.UINT8, DType.INT16, DType.INT32, DType.UINT32, DType.FLOAT16, DType.FLOAT32):
        if holds_exactly(wide, narrow):
            with np.errstate(all="ignore"):
                back = values.astype(wide.numpy).astype(narrow.numpy)
            np.testing.assert_array_equal(back, values)


def test_concatenations_along_one_axis_are_one() -> None:
    text = "(float[N,2] x, float[N,2] z) => (y)"
    assert_rewrites(
        PASS,
        f"{text} {{ t = Concat<axis=1>(x, z) s = Concat<axis=-1>(z, x) y = Concat<axis=1>(t, x, s) }}",
        f"{text} {{ y = Concat<axis=1>(x, z, x, z, x) }}",
    )


def test_concatenations_along_different_axes_are_two() -> None:
    text = "(float[2,2] x) => (y) { t = Concat<axis=0>(x, x) y = Concat<axis=1>(t, t) }"
    assert_unchanged(PASS, text, reason="along different axes")


def test_a_concatenation_that_others_use_stays() -> None:
    text = "(float[2,2] x) => (y, t) { t = Concat<axis=1>(x, x) y = Concat<axis=1>(t, x) }"
    assert_unchanged(PASS, text, reason="is used elsewhere")
