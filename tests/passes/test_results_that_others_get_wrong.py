"""Graphs that published optimisers were seen to change in meaning: the whole pipeline leaves their results alone."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.check import interpret
from graphopt.compiler import optimize_graph, prepare_for_lowering
from graphopt.ir import Graph
from graphopt.testing.rewrites import parse


def results(text: str, feeds: dict[str, np.ndarray], tensors: dict[str, np.ndarray] | None = None) -> np.ndarray:
    """What the optimised graph gives; the lowered one, whose operators are fused, must give the same."""
    graph = parse(text, tensors)
    optimize_graph(graph)
    optimised = interpret(graph, feeds)
    prepare_for_lowering(graph)
    (lowered,) = interpret(graph, feeds).values()
    (wanted,) = optimised.values()
    np.testing.assert_array_equal(lowered, wanted)
    return wanted


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_an_integer_reciprocal_times_b_is_no_division_by_x() -> None:
    text = "(int64[2] x, int64[2] b) => (int64[2] y) <int64 one = {1}> { r = Div(one, x) y = Mul(r, b) }"
    assert results(text, {"x": np.array([2, 3]), "b": np.array([7, 9])}).tolist() == [0, 0]


def test_two_roundings_with_two_scales_are_two() -> None:
    tensors = {"s": floats(0.5).reshape(()), "t": floats(0.3).reshape(()), "z": np.array(0, np.uint8)}
    text = """(float[1] x) => (float[1] y) { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z)
        r = QuantizeLinear(d, t, z) y = DequantizeLinear(r, t, z) }"""
    np.testing.assert_allclose(results(text, {"x": floats(1.26)}, tensors), floats(1.5), rtol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "fed", "wanted"),
    [
        ("t = Clip(x, zero, one) y = Clip(t, two, three)", 0.5, 2.0),
        ("t = Clip(x, minus_five, minus_one) y = Relu(t)", -3.0, 0.0),
        ("t = Add(x, zero) y = Reciprocal(t)", -0.0, np.inf),
        ("t = Relu(x) y = Clip(t, zero, six)", np.nan, np.nan),
        ("t = Mul(x, zero) y = Add(t, one)", np.inf, np.nan),
        ("t = Sub(x, x) y = Add(t, one)", np.inf, np.nan),
        ("t = Div(x, x) y = Add(t, zero)", 0.0, np.nan),
    ],
)
def test_an_edge_of_float_arithmetic_stays(nodes: str, fed: float, wanted: float) -> None:
    numbers = {"zero": 0, "one": 1, "two": 2, "three": 3, "six": 6, "minus_one": -1, "minus_five": -5}
    tensors = {name: np.array(value, np.float32) for name, value in numbers.items() if name in nodes}
    np.testing.assert_array_equal(
        results(f"(float[1] x) => (float[1] y) {{ {nodes} }}", {"x": floats(fed)}, tensors), floats(wanted)
    )


def test_a_constant_along_the_last_axis_is_not_per_channel() -> None:
    random = np.random.default_rng(0)
    tensors = {"w": random.random((4, 4, 1, 1)).astype(np.float32), "k": floats(1, 2, 3, 4)}
    x = random.random((1, 4, 4, 4)).astype(np.float32)
    text = "(float[1,4,4,4] x) => (y) { c = Conv(x, w) y = Mul(c, k) }"
    np.testing.assert_allclose(
        results(text, {"x": x}, tensors), interpret(parse(text, tensors), {"x": x})["y"], rtol=1e-5
    )


def test_padding_with_zero_is_not_padding_of_a_maximum() -> None:
    text = """(float[1,1,1,1] x) => (y) <int64[8] pads = {0,0,1,1,0,0,1,1}>
        { p = Pad(x, pads) y = MaxPool<kernel_shape=[3,3]>(p) }"""
    assert results(text, {"x": floats(-1).reshape(1, 1, 1, 1)}).item() == 0


def test_the_largest_logarithm_is_not_where_the_largest_number_is() -> None:
    text = "(float[4] x) => (y) { l = Log(x) y = ArgMax<axis=0, keepdims=0>(l) }"
    x = floats(-1, 2, 3, 1)
    assert results(text, {"x": x}).item() == interpret(parse(text), {"x": x})["y"].item()


def test_two_draws_do_not_cancel() -> None:
    graph = parse("(float[64] x) => (y) { a = RandomNormalLike(x) b = RandomNormalLike(x) y = Sub(a, b) }")
    optimize_graph(graph)
    assert [node.op for node in graph.nodes()] == ["RandomNormalLike", "RandomNormalLike", "Sub"]


def test_an_input_with_a_default_can_still_be_overridden() -> None:
    text = "(float[2] x, float[2] w = {1, 1}) => (y) <float two = {2}> { d = Mul(w, two) y = Mul(x, d) }"
    assert results(text, {"x": floats(1, 2), "w": floats(3, 4)}).tolist() == [6.0, 16.0]
    assert results(text, {"x": floats(1, 2)}).tolist() == [2.0, 4.0]


def test_an_input_that_is_an_output_keeps_its_name() -> None:
    graph: Graph = parse("(float[2] x) => (float[2] x, float[2] y) { y = Neg(x) }")
    optimize_graph(graph)
    assert graph.output_names == ["x", "y"]
    assert [value.name for value in graph.inputs] == ["x"]
