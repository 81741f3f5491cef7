"""Matrix products against plain loops, on every target that this machine runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt_kernels.abi import Operand, Ref
from graphopt_kernels.bind import matmul as family
from graphopt_kernels.targets import host_targets
from tests.kernels.harness import bound_between_walls
from tests.naive_products import product

pytestmark = pytest.mark.skipif(not host_targets(), reason="no target for this machine")

sizes = st.sampled_from([1, 2, 3, 5, 12, 13, 31, 33])
numbers = st.sampled_from([0.0, -0.0, 1.0, -2.5, 0.1, 3e3])


def run(
    op: str,
    inputs: list[np.ndarray | None],
    shape: tuple[int, ...],
    target: str,
    *,
    pack: bool = False,
    threads: int = 1,
    **attributes: Any,
) -> np.ndarray:
    """One operator through `pack`, `select`, `bind` and the machine code."""
    a, b = inputs[0], inputs[1]
    assert a is not None
    assert b is not None
    attributes = {"op": op, "version": 13, **attributes}
    packed = family.pack(1, b, attributes) if pack else None
    if packed is not None:
        attributes["packed"] = (1,)
    specs = family.select(op, 13, [None if x is None else x.dtype for x in inputs], attributes)
    assert specs is not None
    output = np.full(shape, 77, a.dtype)
    results = [
        bound.run(threads)[0]
        for bound in bound_between_walls(family, specs, inputs, output, attributes, target, packed)
    ]
    assert results[0].tobytes() == results[1].tobytes()
    return results[0]


def close(got: np.ndarray, expected: np.ndarray, a: np.ndarray, b: np.ndarray, extra: float = 0.0) -> bool:
    """Within the rounding of k products and sums of these sizes: k·eps·|A|·|B|, the bound of any order of summation."""
    k = a.shape[-1]
    size = float(np.abs(a).max(initial=0.0)) * float(np.abs(b).max(initial=0.0)) * k + extra
    return bool(np.all(np.abs(got - expected) <= (k + 4) * np.finfo(a.dtype).eps * size + np.finfo(a.dtype).tiny))


@settings(deadline=None, max_examples=50)
@given(
    m=sizes,
    n=sizes,
    k=st.sampled_from([0, 1, 2, 7, 33]),
    dtype=st.sampled_from([np.float32, np.float64]),
    transposed=st.tuples(st.booleans(), st.booleans()),
    bias=st.sampled_from([None, (), (1,), "n", "m1", "mn"]),
    activation=st.sampled_from(["", "Relu", "Clip"]),
    alpha=st.sampled_from([1.0, -0.5]),
    beta=st.sampled_from([1.0, 0.0, 0.25]),
    pack=st.booleans(),
    residual=st.booleans(),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_gemm_is_its_plain_loop_twin(
    m: int, n: int, k: int, dtype: Any, transposed: tuple[bool, bool], bias: Any, activation: str,
    alpha: float, beta: float, pack: bool, residual: bool, threads: int, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    shapes = {"n": (n,), "m1": (m, 1), "mn": (m, n)}
    c = None if bias is None else rng.standard_normal(shapes.get(bias, bias)).astype(dtype)
    r = rng.standard_normal((m, n)).astype(dtype) if residual else None
    given_a = np.ascontiguousarray(a.T) if transposed[0] else a
    given_b = np.ascontiguousarray(b.T) if transposed[1] else b
    low, high = {"": (-math.inf, math.inf), "Relu": (0.0, math.inf), "Clip": (-0.25, 0.5)}[activation]
    expected = product(a, b, None if c is None else c * dtype(beta), r, alpha=alpha, low=low, high=high)
    for target in host_targets():
        got = run(
            "Gemm", [given_a, given_b, c, r], (m, n), target, pack=pack, threads=threads, activation=activation,
            clip_low=-0.25, clip_high=0.5, alpha=alpha, beta=beta, transA=int(transposed[0]), transB=int(transposed[1]),
        )  # fmt: skip
        assert close(got, expected, a, b, extra=8.0)


BATCHES = (
    ((3, 5, 4), (4, 6)),
    ((2, 3, 5, 4), (2, 3, 4, 6)),
    ((2, 1, 5, 4), (3, 4, 6)),
    ((5, 4), (3, 4, 6)),
    ((4,), (4, 6)),
    ((5, 4), (4,)),
    ((4,), (4,)),
    ((2, 3, 5, 4), (4,)),
    ((4,), (2, 4, 6)),
    ((2, 0, 4), (4, 6)),
    ((2, 1, 3, 1, 2, 1, 7), (3, 1, 4, 1, 7, 2)),
)


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.sampled_from(BATCHES),
    pack=st.booleans(),
    threads=st.sampled_from([1, 2, 3]),
)
def test_batches_and_vectors_broadcast_as_numpy_does(shapes: Any, pack: bool, threads: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, shape).astype(np.float32) for shape in shapes)
    expected = np.matmul(a, b)
    for target in host_targets():
        assert np.array_equal(run("MatMul", [a, b], expected.shape, target, pack=pack, threads=threads), expected)


def test_a_long_k_is_the_same_in_every_cut_and_team() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((30, 2300)).astype(np.float32), rng.standard_normal((2300, 70)).astype(np.float32)
    bias = rng.standard_normal(70).astype(np.float32)
    whole = run("Gemm", [a, b, bias], (30, 70), host_targets()[0], pack=True, activation="Relu")
    assert close(whole, np.maximum(a.astype(np.float64) @ b + bias, 0), a, b)
    for threads in (2, 3):
        again = run("Gemm", [a, b, bias], (30, 70), host_targets()[0], pack=True, activation="Relu", threads=threads)
        assert np.array_equal(whole, again)
    rows = [run("Gemm", [a[i : i + 1], b, bias], (1, 70), host_targets()[0], activation="Relu") for i in range(30)]
    assert np.array_equal(np.concatenate(rows), whole)


@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("activation", ["", "Relu", "Clip"])
def test_nan_and_infinities_propagate_as_in_plain_loops(special: float, activation: str) -> None:
    a, b = np.ones((14, 5), np.float32), np.ones((5, 35), np.float32)
    a[2, 3], b[1, 33], b[4, 0] = special, special, 0.0
    low, high = {"": (-math.inf, math.inf), "Relu": (0.0, math.inf), "Clip": (-1.0, 6.0)}[activation]
    expected = product(a, b, low=low, high=high)
    for target in host_targets():
        for pack in (False, True):
            got = run(
                "MatMul", [a, b], (14, 35), target, pack=pack, activation=activation, clip_low=-1.0, clip_high=6.0
            )
            assert np.array_equal(got, expected, equal_nan=True)


def test_shapes_that_do_not_fit_are_one_sentence() -> None:
    def operand(*shape: int) -> Operand:
        return Operand(np.dtype(np.float32), shape, Ref.to(0, 0, 1 << 40))

    with pytest.raises(ValueError, match=r"cannot multiply \(2, 3\) by \(4, 5\): 3 columns meet 4 rows"):
        family.bind([operand(2, 3), operand(4, 5)], [operand(2, 5)], {"op": "MatMul"}, lambda n: Ref.to(0, 0, 1 << 40))


def test_what_the_family_does_not_serve_is_declined() -> None:
    half, single = np.dtype(np.float16), np.dtype(np.float32)
    assert family.select("MatMul", 13, [half, half], {}) is None
    assert family.select("MatMul", 13, [single, single], {"activation": "Mish"}) is None
    a, b = Operand(single, (0, 2), Ref.to(0, 0, 1 << 40)), Operand(single, (2, 3), Ref.to(0, 0, 1 << 40))
    assert (
        family.bind([a, b], [Operand(single, (0, 3), Ref.to(0, 0, 1 << 40))], {}, lambda n: Ref.to(0, 0, 1 << 40)) == []
    )
