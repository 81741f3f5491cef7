"""eliminate-dead-nodes: what nobody uses, and what must stay all the same."""

from __future__ import annotations

from graphopt.passes import EliminateDeadNodes
from graphopt.rewrite import run_passes
from graphopt.testing.rewrites import assert_rewrites, assert_unchanged, parse

PASS = EliminateDeadNodes()


def test_a_node_nobody_uses_goes_and_takes_what_only_it_used() -> None:
    assert_rewrites(
        PASS,
        "(float[N] x) => (y) <float two = {2}> { a = Neg(x) b = Mul(a, two) c = Exp(b) y = Abs(x) }",
        "(float[N] x) => (y) { y = Abs(x) }",
    )


def test_unused_constants_go_and_unused_inputs_stay() -> None:
    graph = parse("(float[N] x, float[2] w = {1, 2}, float unused) => (y) <float two = {2}> { y = Abs(x) }")
    run_passes(graph, [PASS])
    assert [value.name for value in graph.inputs] == ["x", "w", "unused"]
    assert not any(value.constant is not None for value in graph.values())


def test_a_node_is_kept_whole_for_one_used_output() -> None:
    assert_unchanged(PASS, "(float[4] x) => (y) { y, z = Split<num_outputs=2>(x) }")


def test_an_unused_draw_goes() -> None:
    before = "(float[N] x) => (y) { a = RandomNormalLike(x) y = Abs(x) }"
    assert_rewrites(PASS, before, "(float[N] x) => (y) { y = Abs(x) }")


def test_an_unknown_operator_stays() -> None:
    text = "(float[N] x) => (y) { a = custom.Log(x) y = Abs(x) }"
    assert_unchanged(PASS, text, reason="it may do more than compute its outputs")


def test_what_a_subgraph_no_longer_uses_is_dead_outside() -> None:
    graph = parse(
        """(bool c, float[N] x) => (float[N] y) {
             heavy = Exp(x)
             y = If (c) <then_branch = t () => (float[N] a) { waste = Neg(heavy) a = Abs(x) },
                         else_branch = e () => (float[N] b) { b = Neg(x) }> }"""
    )
    run_passes(graph, [PASS])
    (branching,) = graph.nodes()
    assert sorted(graph.captures_of(branching)) == ["x"]
    assert [len(inner) for inner in graph.subgraphs_of(branching)] == [1, 1]
