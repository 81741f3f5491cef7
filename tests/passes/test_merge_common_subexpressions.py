"""merge-common-subexpressions: what is one, and what only looks like it."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import Attribute
from graphopt.passes import MergeCommonSubexpressions
from graphopt.rewrite import run_passes
from graphopt.testing.rewrites import assert_rewrites, assert_unchanged, parse

PASS = MergeCommonSubexpressions()


def test_equal_computations_become_one_through_their_users() -> None:
    assert_rewrites(
        PASS,
        """(float[N] x, float[N] z) => (float[N] y) {
             a = Add(x, z) b = Add(z, x) c = Relu(a) d = Relu(b) y = Sub(c, d) }""",
        "(float[N] x, float[N] z) => (float[N] y) { a = Add(x, z) c = Relu(a) y = Sub(c, c) }",
    )


def test_operators_with_other_attributes_are_two() -> None:
    assert_unchanged(
        PASS, "(float[N] x) => (y) { a = LeakyRelu<alpha=0.1>(x) b = LeakyRelu<alpha=0.2>(x) y = Sub(a, b) }"
    )


def test_an_attribute_of_minus_zero_is_another_than_zero() -> None:
    graph = parse("(float[N] x) => (y) { a = LeakyRelu<alpha=0.0>(x) b = LeakyRelu<alpha=0.0>(x) y = Sub(a, b) }")
    next(node for node in graph.nodes() if node.op == "LeakyRelu").attributes["alpha"] = Attribute.of(-0.0)
    assert not run_passes(graph, [PASS]).applied


def test_operands_of_a_subtraction_are_not_swapped() -> None:
    assert_unchanged(PASS, "(float[N] x, float[N] z) => (y) { a = Sub(x, z) b = Sub(z, x) y = Mul(a, b) }")


@pytest.mark.parametrize("operator", ["RandomNormalLike", "RandomUniformLike<seed=1.0>", "Bernoulli"])
def test_two_draws_are_two(operator: str) -> None:
    text = f"(float[N] x) => (y) {{ a = {operator}(x) b = {operator}(x) y = Sub(a, b) }}"
    assert_unchanged(PASS, text, reason="another result each time")


def test_unknown_operators_are_two() -> None:
    text = "(float[N] x) => (y) { a = custom.Count(x) b = custom.Count(x) y = Sub(a, b) }"
    assert_unchanged(PASS, text, reason="is not known")


def test_equal_constants_become_one() -> None:
    report = assert_rewrites(
        PASS,
        "(float[2] x) => (y) <float[2] a = {1, 2}, float[2] b = {1, 2}> { s = Mul(x, a) t = Mul(x, b) y = Add(s, t) }",
        "(float[2] x) => (y) <float[2] a = {1, 2}> { s = Mul(x, a) y = Add(s, s) }",
    )
    assert report.counts == {"merge-equal-constants": 1, "merge-common-subexpressions": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float32(0.0), np.float32(-0.0)),
        (np.float32(1), np.int32(1)),
        (np.ones((1, 2), np.float32), np.ones((2, 1), np.float32)),
    ],
)
def test_constants_that_differ_in_type_shape_or_sign_of_zero_are_two(one: np.ndarray, other: np.ndarray) -> None:
    tensors = {"a": np.asarray(one), "b": np.asarray(other)}
    assert_unchanged(PASS, "(float[2] x) => (p, q) { p = Cast<to=11>(a) q = Cast<to=11>(b) }", tensors)


def test_an_overridable_input_is_no_constant() -> None:
    assert_unchanged(
        PASS, "(float[2] x, float[2] a = {1, 2}) => (y) <float[2] b = {1, 2}> { s = Mul(x, a) y = Mul(s, b) }"
    )


def test_two_outputs_of_one_computation_keep_their_names() -> None:
    graph = parse("(float[N] x) => (float[N] p, float[N] q) { p = Neg(x) q = Neg(x) }")
    run_passes(graph, [PASS])
    assert graph.output_names == ["p", "q"]
    assert graph.outputs[0] is graph.outputs[1]


def test_the_one_that_is_kept_stands_for_both() -> None:
    graph = parse("(float[N] x) => (y) { [p] a = Neg(x) [q] b = Neg(x) y = Sub(a, b) }")
    run_passes(graph, [PASS])
    kept = next(node for node in graph.nodes() if node.op == "Neg")
    assert (kept.source, kept.rules) == (("p", "q"), ("merge-common-subexpressions",))


def test_equal_subgraphs_are_left_alone() -> None:
    branches = "then_branch = t () => (float[N] u) { u = Neg(x) }, else_branch = e () => (float[N] v) { v = Abs(x) }"
    assert_unchanged(
        PASS,
        f"(bool c, float[N] x) => (float[N] y) {{ a = If (c) <{branches}> b = If (c) <{branches}> y = Add(a, b) }}",
    )
