"""fuse-elementwise: which operators share a loop."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import Graph
from graphopt.passes import FuseElementwise, SplitBatchNormalization
from graphopt.rewrite import run_passes
from graphopt.testing.rewrites import assert_rewrites, assert_same, assert_unchanged, parse

PASS = FuseElementwise()
SCALARS = {name: np.array(value, np.float32) for name, value in {"three": 3, "zero": 0, "six": 6}.items()}


def fused(text: str, tensors: dict[str, np.ndarray] | None = None) -> list[list[str]]:
    """The operators of each body, in order; checked to compute what the graph did."""
    before, after = parse(text, tensors), parse(text, tensors)
    run_passes(after, [PASS])
    again = run_passes(after, [PASS])
    assert not again.applied
    assert_same(before, after, exact=True)
    bodies = [node.get("body") for node in after.sorted_nodes() if node.qualified_op == "ai.graphopt::Elementwise"]
    return [[node.op for node in body.sorted_nodes()] for body in bodies if isinstance(body, Graph)]


def test_a_hard_swish_is_one_loop() -> None:
    text = "(float[N,4] x) => (y) { a = Add(x, three) b = Clip(a, zero, six) c = Mul(x, b) y = Div(c, six) }"
    assert fused(text, SCALARS) == [["Add", "Clip", "Mul", "Div"]]


def test_a_value_used_twice_within_the_tree_is_computed_once() -> None:
    assert fused("(float[N] x) => (y) { a = Neg(x) b = Sigmoid(a) y = Mul(a, b) }") == [["Neg", "Sigmoid", "Mul"]]


def test_a_value_used_outside_ends_the_tree() -> None:
    assert fused("(float[N] x) => (y, a) { a = Neg(x) b = Exp(a) y = Abs(b) }") == [["Exp", "Abs"]]


def test_a_tree_ends_at_a_reduction() -> None:
    text = "(float[N,4] x) => (y) { a = Neg(x) b = Exp(a) c = ReduceSum(b) d = Log(c) y = Add(d, x) }"
    assert fused(text) == [["Neg", "Exp"]]


def test_operands_broadcast_and_a_smaller_value_is_not_computed_again() -> None:
    text = "(float[N,4] x, float[4] z) => (y) { a = Exp(z) b = Mul(x, a) y = Neg(b) }"
    assert fused(text) == [["Mul", "Neg"]]


def test_numbers_and_truth_share_a_loop() -> None:
    text = """(float[N] x, float[N] z) => (y)
        { a = Less(x, z) b = Not(a) c = Cast<to=6>(x) d = Cast<to=1>(c) y = Where(b, d, z) }"""
    assert sorted(fused(text)[0]) == ["Cast", "Cast", "Less", "Not", "Where"]


def test_a_constant_that_varies_is_an_operand() -> None:
    text = "(float[N,2] x) => (y) { a = Mul(x, w) y = Add(a, w) }"
    assert fused(text, {"w": np.array([1, 2], np.float32)}) == [["Mul", "Add"]]


@pytest.mark.parametrize(
    "nodes",
    [
        "a = Neg(x) b = Transpose(a) y = Exp(b)",
        "a = Cumulate(x) y = Exp(a)",
        "a = Bernoulli(x) y = Exp(a)",
        "y = Exp(x)",
    ],
)
def test_nothing_to_fuse(nodes: str) -> None:
    assert_unchanged(PASS, f"(float[N,4] x) => (y) {{ {nodes.replace('Cumulate', 'custom.Cumulate')} }}")


def test_a_loop_has_a_bounded_number_of_operands() -> None:
    names = [f"x{i}" for i in range(20)]
    inputs = ", ".join(f"float[N] {name}" for name in names)
    sums = " ".join(f"s{i} = Add(s{i - 1}, x{i})" for i in range(2, 20)).replace("s19", "y")
    text = f"({inputs}) => (y) {{ s1 = Add(x0, x1) {sums} }}"
    bodies = fused(text)
    assert sum(len(body) for body in bodies) == 19
    graph = parse(text)
    run_passes(graph, [PASS])
    assert max(len(graph.inputs_of(node)) for node in graph.nodes()) <= PASS.most_operands


def test_a_fused_node_stands_for_all_its_operators() -> None:
    graph = parse("(float[N] x) => (y) { [p] a = Neg(x) [q] y = Exp(a) }")
    run_passes(graph, [PASS])
    (node,) = graph.nodes()
    assert (set(node.source), node.rules) == ({"p", "q"}, ("fuse-elementwise",))


def test_a_batchnorm_that_stands_alone_becomes_a_scale_and_a_shift() -> None:
    random = np.random.default_rng(3)
    tensors = {name: random.random(3).astype(np.float32) for name in "sbmv"}
    assert_rewrites(
        SplitBatchNormalization(),
        "(float[N,3,4] x) => (y) { y = BatchNormalization(x, s, b, m, v) }",
        "(float[N,3,4] x) => (y) { t = Mul(x, p) y = Add(t, q) }",
        tensors | {"p": np.ones((3, 1), np.float32), "q": np.ones((3, 1), np.float32)},
        elements=False,
    )


def test_the_order_in_a_body_does_not_depend_on_where_values_lie_in_memory() -> None:
    cell = """(float[N] i, float[N] f, float[N] g, float[N] c) => (y) {
        si = Sigmoid(i) tg = Tanh(g) sf = Sigmoid(f) new = Mul(si, tg) kept = Mul(sf, c) y = Add(kept, new) }"""
    kept_alive: list[Graph] = []
    orders: set[tuple[str, ...]] = set()
    for _ in range(20):
        graph = parse(cell)
        kept_alive.append(graph)  # so that the next graph's values get other addresses
        run_passes(graph, [PASS])
        (node,) = graph.nodes()
        orders.add(tuple(value.name for value in graph.inputs_of(node) if value is not None))
    assert len(orders) == 1
