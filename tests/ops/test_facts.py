"""The table of facts: complete, and careful where carelessness has made other compilers wrong."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from graphopt.ir import Dense, DType, Graph, TensorType
from graphopt.ops import facts_of, is_deterministic


def test_every_standard_operator_is_in_the_table() -> None:
    schemas = onnx.defs.get_all_schemas()
    known_graphs = {"ai.onnx.preview.training::Gradient"}  # a function of the graph around it, not of arrays
    missing = [f"{s.domain}::{s.name}" for s in schemas if facts_of(s.name, s.domain) is None]
    assert set(missing) <= known_graphs


def test_an_unknown_operator_is_assumed_to_be_nothing() -> None:
    graph = Graph("g", {"": 21, "my.domain": 1})
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2,)))
    graph.add_node("Gadget", [x], domain="my.domain")
    assert facts_of("Gadget", "my.domain") is None
    assert not is_deterministic(graph, next(graph.nodes()))


@pytest.mark.parametrize("op", ["RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"])
def test_random_operators_are_not_deterministic(op: str) -> None:
    graph = Graph("g", {"": 21})
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2,)))
    graph.add_node(op, [x], attributes={"seed": 1.0})
    assert not is_deterministic(graph, next(graph.nodes()))


@pytest.mark.parametrize(("training", "deterministic"), [(None, True), (False, True), (True, False)])
def test_dropout_is_deterministic_unless_it_may_be_training(training: bool | None, deterministic: bool) -> None:
    graph = Graph("g", {"": 21})
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2,)))
    ratio = graph.add_constant(Dense.of(np.float32(0.5)))
    mode = [] if training is None else [graph.add_constant(Dense.of(np.array(training)))]
    graph.add_node("Dropout", [x, ratio, *mode])
    assert is_deterministic(graph, next(graph.nodes())) is deterministic


def test_an_if_is_as_random_as_its_branches() -> None:
    branch = Graph("branch", {"": 21})
    (value,) = branch.add_node("RandomNormal", [], attributes={"shape": [2]})
    branch.add_output(value)
    graph = Graph("g", {"": 21})
    condition = graph.add_input("c", TensorType(DType.BOOL, ()))
    graph.add_node("If", [condition], attributes={"then_branch": branch, "else_branch": branch.copy()})
    assert not is_deterministic(graph, next(graph.nodes()))
