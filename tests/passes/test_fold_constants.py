"""fold-constants: what is computed at compile time, and what must wait for the inputs."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.errors import ModelError
from graphopt.infer import infer_types
from graphopt.ir import Fill
from graphopt.passes import FoldConstants
from graphopt.rewrite import run_passes, show
from graphopt.testing.rewrites import assert_rewrites, assert_unchanged, parse

PASS = FoldConstants()


def test_a_chain_of_constants_becomes_one() -> None:
    assert_rewrites(
        PASS,
        "(float[N,2] x) => (float[N,2] y) <float[2] a = {1, 2}, float two = {2}> "
        "{ b = Mul(a, two) c = Neg(b) y = Add(x, c) }",
        "(float[N,2] x) => (float[N,2] y) <float[2] c = {-2, -4}> { y = Add(x, c) }",
    )


@pytest.mark.parametrize(
    ("nodes", "folded"),
    [
        ("s = Shape(x) y = Neg(s)", None),
        ("s = Shape<start=1>(x) y = Cast<to=7>(s)", "{4, 6}"),
        ("s = Shape(x) d = Gather(s, one) y = Concat<axis=0>(d, six)", "{4, 6}"),
        ("s = Shape(x) e = Mul(s, s) f = Div(e, s) g = Sub(f, s) y = Slice(g, one, two)", "{0}"),
    ],
)
def test_shapes_fold_as_far_as_they_are_known(nodes: str, folded: str | None) -> None:
    ones = "int64[1] one = {1}, int64[1] two = {2}, int64[1] six = {6}"
    text = f"(float[N,4,6] x) => (int64[K] y) <{ones}> {{ {nodes} }}"
    if folded is None:
        assert_unchanged(PASS, text)
        return
    graph = parse(text)
    run_passes(graph, [PASS])
    (value,) = graph.outputs
    assert value.constant is not None
    assert value.constant.array().tolist() == [int(word) for word in folded.strip("{}").split(",")]


def test_a_reshape_to_a_shape_of_symbols_needs_no_shape_operators() -> None:
    assert_rewrites(
        PASS,
        """(float[N,S,12] x) => (float[N,S,3,4] y) <int64 zero = {0}, int64 one = {1}, int64[1] axis = {0},
           int64[2] heads = {3, 4}> {
             s = Shape(x) a = Gather(s, zero) b = Gather(s, one) c = Unsqueeze(a, axis) d = Unsqueeze(b, axis)
             t = Concat<axis=0>(c, d, heads) y = Reshape(x, t) }""",
        "(float[N,S,12] x) => (float[N,S,3,4] y) <int64[4] t = {0, 0, 3, 4}> { y = Reshape(x, t) }",
    )


def test_two_open_dimensions_keep_their_shape_operators() -> None:
    assert_unchanged(
        PASS,
        """(float[N,S] x, float[S,N] z) => (float[A,B] y) { s = Shape(z) y = Reshape(x, s) }""",
        reason="more than one dimension",
    )


@pytest.mark.parametrize("operator", ["RandomNormalLike(c)", "RandomUniform<shape=[2]>()", "Bernoulli(c)"])
def test_random_operators_are_not_folded(operator: str) -> None:
    text = f"(float[2] x) => (y) <float[2] c = {{1, 1}}> {{ r = {operator} y = Add(x, r) }}"
    assert_unchanged(PASS, text, reason="is random")


def test_an_overridable_input_is_not_folded() -> None:
    assert_unchanged(PASS, "(float[2] x, float[2] c = {1, 2}) => (y) { n = Neg(c) y = Add(x, n) }")


def test_folding_stays_within_its_budget() -> None:
    text = """(float[1024,1024] x) => (y) <int64[2] big = {1024, 1024}, float one = {1}>
        { e = Expand(one, big) y = Add(x, e) }"""
    assert_unchanged(FoldConstants(budget=1 << 20), text, reason="over the budget")


def test_a_result_of_one_repeated_element_stays_a_fill() -> None:
    graph = parse("(float[256,256] x) => (y) <int64[2] s = {256, 256}> { e = ConstantOfShape(s) y = Add(x, e) }")
    run_passes(graph, [PASS])
    (fill,) = [value.constant for value in graph.values() if value.constant is not None]
    assert isinstance(fill, Fill)
    assert fill.shape == (256, 256)


def test_quantised_weights_stay_quantised_unless_asked() -> None:
    tensors = {"w": np.ones((64, 128), np.int8), "scale": np.float32(0.5), "zero": np.int8(0)}
    text = "(float[N,64] x) => (y) { d = DequantizeLinear(w, scale, zero) y = MatMul(x, d) }"
    arrays = {name: np.asarray(array) for name, array in tensors.items()}
    assert_unchanged(PASS, text, arrays, reason="stays quantised")
    graph = parse(text, arrays)
    run_passes(graph, [FoldConstants(keep_quantized=False)])
    assert [node.op for node in graph.nodes()] == ["MatMul"]


def test_what_cannot_be_computed_is_refused() -> None:
    text = "(float[N] x) => (y) <float[2] c = {1, 2}, int64 far = {9}> { [pick] g = Gather(c, far) y = Add(x, g) }"
    with pytest.raises(ModelError, match=r"node 'pick': Gather: an index into axis 0 of 2 elements .* got 9"):
        infer_types(parse(text))


def test_what_cannot_be_computed_stays_in_a_branch_that_need_not_be_taken() -> None:
    text = """(bool k, float[N] x) => (float[N] y) <float[2] c = {1, 2}, int64 far = {9}> {
        y = If (k) <then_branch = t () => (float[N] a) { g = Gather(c, far) a = Add(x, g) },
                    else_branch = e () => (float[N] b) { b = Neg(x) }> }"""
    assert_unchanged(PASS, text, reason="Gather")


BRANCHES = """(float[N] x) => (float[N] y) <bool c = {%d}, float two = {2}> {
    y = If (c) <then_branch = t () => (float[N] a) { a = Mul(x, two) },
                else_branch = e () => (float[N] b) { b = Neg(x) }> }"""


def test_an_if_with_a_known_condition_is_its_branch() -> None:
    after = "(float[N] x) => (float[N] y) <float two = {2}> { y = Mul(x, two) }"
    assert_rewrites(PASS, BRANCHES % 1, after)
    assert_rewrites(PASS, BRANCHES % 0, "(float[N] x) => (float[N] y) { y = Neg(x) }")


def test_a_constant_of_the_outer_graph_is_one_in_a_subgraph_too() -> None:
    graph = parse(
        """(bool c, float[N] x) => (float[N] y) <float two = {2}> {
             y = If (c) <then_branch = t () => (float[N] a) { m = Neg(two) a = Mul(x, m) },
                         else_branch = e () => (float[N] b) { b = Neg(x) }> }"""
    )
    run_passes(graph, [PASS])
    assert "float32[](-2.0)" in show(graph)


def test_a_loop_of_no_trips_gives_what_it_was_given() -> None:
    assert_rewrites(
        PASS,
        """(float[N] x) => (float[N] y) <int64 n = {0}, bool go = {1}> {
             v = Loop (n, go, x) <body = b (int64 i, bool c, float[N] a) => (bool d, float[N] e)
                                  { d = Identity(c) e = Add(a, a) }>
             y = Neg(v) }""",
        "(float[N] x) => (float[N] y) { y = Neg(x) }",
    )
