"""The reference interpreter: what a whole graph computes."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.check import interpret
from graphopt.errors import InputError, ModelError
from graphopt.ir import Dense, DType, Graph, TensorType, Value, symbol

F32 = DType.FLOAT32


def one_input(shape: tuple[int, ...] = (3,)) -> tuple[Graph, Value]:
    graph = Graph("g", {"": 21})
    return graph, graph.add_input("x", TensorType(F32, shape))


def test_a_value_used_twice_by_one_node_fills_both_slots() -> None:
    graph, x = one_input()
    (y,) = graph.add_node("Mul", [x, x])
    graph.add_output(y, "y")
    assert interpret(graph, {"x": np.array([1, 2, 3], np.float32)})["y"].tolist() == [1, 4, 9]


def test_an_input_that_is_also_an_output_keeps_both_names() -> None:
    graph = Graph("g", {"": 21})
    x = graph.add_input("x", TensorType(F32, (1,)))
    graph.add_output(x, "same")
    assert interpret(graph, {"x": np.ones(1, np.float32)})["same"].tolist() == [1]


def test_a_default_may_be_overridden() -> None:
    graph = Graph("g", {"": 21})
    x = graph.add_input("x", TensorType(F32, (1,)))
    w = graph.add_input("w", TensorType(F32, (1,)), Dense.of(np.full(1, 2, np.float32)))
    (y,) = graph.add_node("Mul", [x, w])
    graph.add_output(y, "y")
    three = np.full(1, 3, np.float32)
    assert interpret(graph, {"x": three})["y"].tolist() == [6]
    assert interpret(graph, {"x": three, "w": three})["y"].tolist() == [9]


def test_a_branch_sees_the_values_it_captures() -> None:
    graph = Graph("g", {"": 21})
    c = graph.add_input("c", TensorType(DType.BOOL, ()))
    x = graph.add_input("x", TensorType(F32, (2,)))
    branches: list[Graph] = []
    for op in ("Neg", "Identity"):
        branch = Graph(op)
        (y,) = branch.add_node(op, [branch.add_capture("x")])
        branch.add_output(y)
        branches.append(branch)
    attributes = {"then_branch": branches[0], "else_branch": branches[1]}
    (y,) = graph.add_node("If", [c], attributes=attributes, captures={"x": x})
    graph.add_output(y, "y")
    feeds = {"x": np.array([1, 2], np.float32)}
    assert interpret(graph, feeds | {"c": np.array(True)})["y"].tolist() == [-1, -2]
    assert interpret(graph, feeds | {"c": np.array(False)})["y"].tolist() == [1, 2]


def loop_of_additions() -> Graph:
    body = Graph("body")
    body.add_input("i", TensorType(DType.INT64, ()))
    going = body.add_input("going", TensorType(DType.BOOL, ()))
    total = body.add_input("total", TensorType(F32, ()))
    (more,) = body.add_node("Add", [total, body.add_capture("step")], types=[TensorType(F32, ())])
    for value in (going, more, more):
        body.add_output(value)
    graph = Graph("g", {"": 21})
    turns = graph.add_input("turns", TensorType(DType.INT64, ()))
    step = graph.add_input("step", TensorType(F32, ()))
    start = graph.add_constant(Dense.of(np.float32(0)))
    outputs = graph.add_node("Loop", [turns, None, start], 2, {"body": body}, captures={"step": step})
    for name, value in zip(("total", "all"), outputs, strict=True):
        graph.add_output(value, name)
    return graph


def test_a_loop_carries_state_and_stacks_its_scans() -> None:
    got = interpret(loop_of_additions(), {"turns": np.array(3), "step": np.float32(2)})
    assert got["total"] == 6
    assert got["all"].tolist() == [2, 4, 6]


def test_a_loop_that_never_runs_gives_empty_scans_of_the_declared_type() -> None:
    got = interpret(loop_of_additions(), {"turns": np.array(0), "step": np.float32(2)})
    assert got["total"] == 0
    assert got["all"].shape == (0,)
    assert got["all"].dtype == np.float32


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "'x' .* is missing"),
        ({"x": np.zeros(3, np.float32), "z": 1}, "no input 'z'"),
        ({"x": np.zeros(3, np.float64)}, "float64"),
        ({"x": np.zeros(4, np.float32)}, r"\[4\]"),
        ({"x": np.zeros((1, 3), np.float32)}, r"\[1, 3\]"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused_in_one_sentence(feeds: dict[str, object], message: str) -> None:
    graph, x = one_input()
    graph.add_output(x)
    with pytest.raises(InputError, match=message):
        interpret(graph, feeds)


def test_an_operator_without_a_meaning_is_named() -> None:
    graph = Graph("g", {"": 21, "acme": 1})
    x = graph.add_input("x", TensorType(F32, (symbol("N"),)))
    (y,) = graph.add_node("Gadget", [x], domain="acme", name="gadget_7")
    graph.add_output(y)
    with pytest.raises(ModelError, match=r"acme::Gadget 'gadget_7'"):
        interpret(graph, {"x": np.zeros(2, np.float32)})


def test_an_operator_without_our_meaning_runs_by_the_reference_of_onnx() -> None:
    graph = Graph("g", {"": 21, "ai.onnx.preview.training": 1})
    rate = graph.add_input("r", TensorType(F32, ()))
    turn = graph.add_input("t", TensorType(DType.INT64, ()))
    x, g, v = (graph.add_input(name, TensorType(F32, (2,))) for name in "xgv")
    attributes = {"alpha": 0.5, "beta": 1.0, "mode": "standard", "norm_coefficient": 0.0}
    domain = "ai.onnx.preview.training"
    new_x, _ = graph.add_node("Momentum", [rate, turn, x, g, v], 2, attributes, domain=domain)
    graph.add_output(new_x, "y")
    one = np.ones(2, np.float32)
    feeds = {"r": np.float32(0.1), "t": np.array(0), "x": one, "g": one, "v": one}
    assert interpret(graph, feeds)["y"] == pytest.approx([0.85, 0.85])
