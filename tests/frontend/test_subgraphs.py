"""Subgraphs: captures, nesting, names."""

from __future__ import annotations

from graphopt.frontend import read_onnx, write_onnx
from tests.frontend.models import assert_same, f32, parse

NESTED = """
main (bool a, bool b, float[2] x, float[2] y) => (float[2] z) {
    s = Add(x, y)
    z = If(a) <
        then_branch = inner () => (float[2] r) {
            r = If(b) <
                then_branch = deep () => (float[2] q) { q = Mul(s, x) },
                else_branch = flat () => (float[2] p) { p = Identity(y) }
            >
        },
        else_branch = other () => (float[2] o) { o = Sub(s, y) }
    >
}
"""


def test_captures_through_two_levels_are_edges_of_each_level() -> None:
    model = parse(NESTED)
    graph = read_onnx(model)
    (branch,) = [node for node in graph.nodes() if node.op == "If"]
    assert sorted(graph.captures_of(branch)) == ["b", "s", "x", "y"]
    for a in (True, False):
        for b in (True, False):
            assert_same(model, write_onnx(graph), a=a, b=b, x=f32([1, 2]), y=f32([3, 5]))


def test_a_name_that_a_rewrite_takes_outside_is_given_up_inside() -> None:
    graph = read_onnx(parse(NESTED))
    add = next(node for node in graph.nodes() if node.op == "Add")
    (value,) = graph.outputs_of(add)
    assert value is not None
    graph.rename_value(value, "q")  # the name of a value two levels down
    assert_same(parse(NESTED), write_onnx(graph), a=True, b=True, x=f32([1, 2]), y=f32([3, 5]))


def test_a_subgraph_that_returns_an_outer_value_or_its_own_constant_is_kept() -> None:
    model = parse("""
        main (bool c, float[2] x) => (float[2] z) {
            z = If(c) <
                then_branch = t () => (float[2] r) { r = Identity(x) },
                else_branch = e () => (float[2] k) { k = Constant<value = float[2] {7, 8}>() }
            >
        }""")
    graph = read_onnx(model)
    node = next(graph.nodes())
    branch = node.get("then_branch")
    (capture,) = branch.captures
    identity = next(branch.nodes())
    branch.replace_uses(branch.outputs_of(identity)[0], capture)
    branch.remove_node(identity)
    for c in (True, False):
        assert_same(model, write_onnx(graph), c=c, x=f32([1, 2]))


def test_a_loop_keeps_its_states_and_scan_outputs() -> None:
    model = parse("""
        main (float[2] x) => (float[2] y, float[N, 2] all) {
            n = Constant<value_int = 3>()
            t = Constant<value = bool {1}>()
            y, all = Loop(n, t, x) <
                body = round (int64 i, bool go, float[2] s) => (bool again, float[2] next, float[2] out) {
                    again = Identity(go)
                    next = Add(s, x)
                    out = Mul(next, s)
                }
            >
        }""")
    assert_same(model, write_onnx(read_onnx(model)), x=f32([1, 2]))
