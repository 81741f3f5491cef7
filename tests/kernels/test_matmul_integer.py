"""Integer products against numpy's, bit for bit, on every target that this machine runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt_kernels.abi import Operand, Ref
from graphopt_kernels.bind import matmul_integer as family
from graphopt_kernels.targets import host_targets
from tests.kernels.harness import bound_between_walls

pytestmark = pytest.mark.skipif(not host_targets(), reason="no target for this machine")


def plain(a: np.ndarray, b: np.ndarray, a_zero: np.ndarray | None, b_zero: np.ndarray | None) -> np.ndarray:
    """The definition, in int64, wrapped to int32."""
    wide_a, wide_b = a.astype(np.int64), b.astype(np.int64)
    if a_zero is not None:
        wide_a = wide_a - a_zero.astype(np.int64).reshape((-1, 1) if a_zero.size > 1 else ())
    if b_zero is not None:
        wide_b = wide_b - b_zero.astype(np.int64).reshape((-1,) if b_zero.size > 1 else ())
    return np.matmul(wide_a, wide_b).astype(np.int32)


def run(inputs: list[np.ndarray | None], shape: tuple[int, ...], target: str, team: int) -> np.ndarray:
    """MatMulInteger through `select`, `bind` and the machine code."""
    specs = family.select("MatMulInteger", 10, [None if x is None else x.dtype for x in inputs], {})
    assert specs is not None
    output = np.full(shape, 77, np.int32)
    attributes = {"op": "MatMulInteger"}
    results = [bound.run(team)[0] for bound in bound_between_walls(family, specs, inputs, output, attributes, target)]
    assert results[0].tobytes() == results[1].tobytes()
    return results[0]


@settings(deadline=None, max_examples=50)
@given(
    shapes=st.sampled_from([
        ((1, 5), (5, 1)), ((3, 300), (300, 33)), ((13, 256), (256, 64)), ((25, 9), (9, 70)), ((2, 3, 7), (7, 5)),
        ((2, 1, 3, 4), (3, 4, 5)), ((4,), (4, 3)), ((3, 0), (0, 2)), ((1, 2, 3), (5, 3, 2)), ((2, 600), (600, 31)),
    ]),
    dtypes=st.sampled_from([(np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8), (np.int8, np.uint8)]),
    zeros=st.tuples(st.sampled_from(["none", "one", "each"]), st.sampled_from(["none", "one", "each"])),
    extreme=st.booleans(),
    team=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_every_product_is_exact(
    shapes: Any, dtypes: Any, zeros: tuple[str, str], extreme: bool, team: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)

    def numbers(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        ends = np.iinfo(dtype)
        drawn = rng.integers(ends.min, ends.max + 1, shape)
        return (np.where(rng.random(shape) < 0.9, ends.max, ends.min) if extreme else drawn).astype(dtype)

    a, b = (numbers(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))
    counts = {"none": None, "one": (), "each": (a.shape[-2],) if a.ndim == 2 else ()}
    a_zero = None if counts[zeros[0]] is None else numbers(counts[zeros[0]] or (), dtypes[0])
    column = {"none": None, "one": (), "each": (b.shape[-1],)}[zeros[1]]
    b_zero = None if column is None else numbers(column, dtypes[1])
    expected = plain(a, b, a_zero, b_zero)
    for target in host_targets():
        assert np.array_equal(run([a, b, a_zero, b_zero], expected.shape, target, team), expected)


def test_the_largest_sums_stay_exact_through_many_blocks() -> None:
    a, b = np.full((2, 5000), 255, np.uint8), np.full((5000, 3), -128, np.int8)
    zero = np.array(127, np.int8)
    for target in host_targets():
        assert np.array_equal(run([a, b, None, zero], (2, 3), target, 1), plain(a, b, None, zero))


def test_what_does_not_fit_is_one_sentence() -> None:
    byte = np.dtype(np.uint8)
    a, b = Operand(byte, (2, 3), Ref.to(0, 0, 1 << 40)), Operand(byte, (4, 5), Ref.to(0, 0, 1 << 40))
    c = Operand(np.dtype(np.int32), (2, 5), Ref.to(0, 0, 1 << 40))
    with pytest.raises(ValueError, match="3 columns meet 4 rows"):
        family.bind([a, b], [c], {}, lambda n: Ref.to(0, 0, 1 << 40))
    b = Operand(byte, (3, 5), Ref.to(0, 0, 1 << 40))
    with pytest.raises(ValueError, match="zero point of B has 4 elements where 5 or one are expected"):
        family.bind([a, b, None, Operand(byte, (4,), Ref.to(0, 0, 1 << 40))], [c], {}, lambda n: Ref.to(0, 0, 1 << 40))
    assert family.select("MatMulInteger", 10, [byte, np.dtype(np.int16)], {}) is None
