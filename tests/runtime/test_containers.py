"""Sequences, optionals and maps go into a compiled model and come out of it, as ONNX Runtime has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TypeProto, helper

import graphopt
from graphopt_kernels.targets import host_targets

FLOATS = helper.make_tensor_type_proto(1, [None])
ROWS = helper.make_tensor_type_proto(1, [None, 2])
ITEMS = [np.array([1, 2], np.float32), np.array([3, 4, 5], np.float32)]


def compiled(
    nodes: list[NodeProto], inputs: dict[str, TypeProto], opset: int = 18, domain: str = ""
) -> graphopt.Compiled:
    """A model whose output is `y`."""
    infos = [helper.make_value_info(name, type) for name, type in inputs.items()]
    graph = helper.make_graph(nodes, "g", infos, [helper.make_value_info("y", TypeProto())])
    opsets = [
        helper.make_opsetid(name, version) for name, version in {"": opset, domain: opset if not domain else 1}.items()
    ]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return graphopt.compile(model, targets=host_targets()[:1], threads=1, check=False)


@pytest.mark.parametrize(("place", "want"), [(1, [3, 4, 5]), (-2, [1, 2])])
def test_a_sequence_is_an_input(place: int, want: list[float]) -> None:
    at = helper.make_node("Constant", [], ["i"], value_int=place)
    model = compiled(
        [at, helper.make_node("SequenceAt", ["s", "i"], ["y"])], {"s": helper.make_sequence_type_proto(FLOATS)}, 13
    )
    assert model({"s": ITEMS})["y"].tolist() == want


def test_what_is_made_of_a_sequence_is_a_tensor_again() -> None:
    join = helper.make_node("ConcatFromSequence", ["s"], ["c"], axis=0)
    model = compiled([join, helper.make_node("Relu", ["c"], ["y"])], {"s": helper.make_sequence_type_proto(ROWS)})
    got = model({"s": [np.ones((1, 2), np.float32), -np.ones((2, 2), np.float32)]})["y"]
    assert got.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_a_sequence_is_an_output() -> None:
    double = helper.make_node("SequenceInsert", ["s", "x"], ["y"])
    model = compiled([double], {"s": helper.make_sequence_type_proto(FLOATS), "x": FLOATS})
    assert [item.tolist() for item in model({"s": ITEMS, "x": ITEMS[0]})["y"]] == [[1, 2], [3, 4, 5], [1, 2]]


@pytest.mark.parametrize(("value", "there"), [(ITEMS[0], True), (None, False)])
def test_an_optional_is_an_input(value: Any, there: bool) -> None:
    model = compiled(
        [helper.make_node("OptionalHasElement", ["o"], ["y"])], {"o": helper.make_optional_type_proto(FLOATS)}
    )
    assert model({"o": value})["y"].tolist() is there


def test_what_an_optional_holds_is_taken_out() -> None:
    take = helper.make_node("OptionalGetElement", ["o"], ["t"])
    model = compiled([take, helper.make_node("Neg", ["t"], ["y"])], {"o": helper.make_optional_type_proto(FLOATS)})
    assert model({"o": ITEMS[0]})["y"].tolist() == [-1, -2]
    held = helper.make_optional_type_proto(helper.make_sequence_type_proto(FLOATS))
    model = compiled([take, helper.make_node("SequenceLength", ["t"], ["y"])], {"o": held})
    assert model({"o": ITEMS})["y"].tolist() == 2


@pytest.mark.parametrize("labels", [{"classlabels_int64s": [0, 1]}, {"classlabels_strings": ["no", "yes"]}])
def test_a_sequence_of_maps_is_a_list_of_dicts(labels: dict[str, Any]) -> None:
    node = helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", **labels)
    model = compiled([node], {"x": ROWS}, 17, "ai.onnx.ml")
    scores = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    (keys,) = labels.values()
    assert model({"x": scores}) == {"y": [dict(zip(keys, row, strict=True)) for row in scores.tolist()]}
