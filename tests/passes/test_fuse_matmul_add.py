"""fuse-matmul-add: when a product and a sum are one Gemm."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.passes import FuseMatMulAddPass
from graphopt.rewrite import Exactness
from graphopt.testing.rewrites import assert_rewrites, assert_unchanged

PASS = FuseMatMulAddPass()
INPUTS = "(float[M,3] a, float[3,4] b, float[4] c, float[1,4] d, float[M,4] e, float[2,1,4] f, float[M,3,3] g)"


@pytest.mark.parametrize(
    ("addition", "addend"), [("Add(p, c)", "c"), ("Add(c, p)", "c"), ("Add(p, d)", "d"), ("Add(p, e)", "e")]
)
def test_a_product_and_what_is_added_are_a_gemm(addition: str, addend: str) -> None:
    before = f"{INPUTS} => (y) {{ p = MatMul(a, b) y = {addition} }}"
    assert_rewrites(PASS, before, f"{INPUTS} => (y) {{ y = Gemm(a, b, {addend}) }}")


def test_a_gemm_without_an_addend_takes_one() -> None:
    assert_rewrites(
        PASS,
        f"{INPUTS} => (y) {{ p = Gemm<alpha=0.5, beta=3.0>(a, b) y = Add(p, c) }}",
        f"{INPUTS} => (y) {{ y = Gemm<alpha=0.5>(a, b, c) }}",
    )


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ("p = MatMul(a, b) y = Add(p, f)", "may widen the product"),
        ("p = MatMul(a, b) q = Add(p, c) y = Mul(q, p)", "is used elsewhere"),
        ("p = Gemm(a, b, c) y = Add(p, d)", "adds something already"),
        ("p = MatMul(g, b) y = Add(p, c)", "not known to be matrices"),
    ],
)
def test_a_product_is_left_alone(nodes: str, reason: str) -> None:
    assert_unchanged(PASS, f"{INPUTS} => (y) {{ {nodes} }}", reason=reason)


def test_a_row_is_not_fused_where_the_product_may_have_one_row() -> None:
    text = "(float[M,3] a, float[3,4] b, float[K,4] c) => (y) { p = MatMul(a, b) y = Add(p, c) }"
    assert_unchanged(PASS, text, reason="may widen the product")


def test_integers_are_left_alone() -> None:
    text = "(int32[M,3] a, int32[3,4] b, int32[4] c) => (y) { p = MatMul(a, b) y = Add(p, c) }"
    assert_unchanged(PASS, text, reason="not a product of floats")


def test_a_transposition_goes_into_the_gemm_and_cancels_one_there() -> None:
    text = "(float[3,M] a, float[3,4] b, float[4] c) => (y)"
    report = assert_rewrites(
        PASS,
        f"{text} {{ t = Transpose(a) s = Transpose<perm=[1,0]>(b) y = Gemm<transB=1>(t, s, c) }}",
        f"{text} {{ y = Gemm<transA=1, transB=0>(a, b, c) }}",
        level=Exactness.EXACT,
    )
    assert report.counts == {"move-transpose-into-gemm": 1}


def test_the_sum_of_weights_is_computed_alike() -> None:
    weight = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "c": np.arange(4, dtype=np.float32)}
    assert_rewrites(
        PASS,
        "(float[M,3] a) => (y) { p = MatMul(a, w) y = Add(p, c) }",
        "(float[M,3] a) => (y) { y = Gemm(a, w, c) }",
        weight,
    )
