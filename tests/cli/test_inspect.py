"""`graphopt inspect` and `graphopt diff` on models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.cli.command import DIGITS, graphopt, refused


def model(path: Path, *, name: str = "act", op: str = "Relu", weight: float = 1.0, nested: bool = False) -> Path:
    """y = op(x + w), the addition inside an If where `nested`."""
    weights = [numpy_helper.from_array(np.full(3, weight, np.float32), "w")]
    nodes = [helper.make_node("Add", ["x", "w"], ["s"], name="sum")]
    if nested:
        weights.append(numpy_helper.from_array(np.array(True), "yes"))
        branch = helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info("s", TensorProto.FLOAT, [3])])
        nodes = [helper.make_node("If", ["yes"], ["s"], name="choice", then_branch=branch, else_branch=branch)]
    ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, ["N", 3]) for port in "xy"]
    nodes.append(helper.make_node(op, ["s"], ["y"], name=name))
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_the_classifier_is_described() -> None:
    data = graphopt("inspect", DIGITS, "--json").data
    assert data["model"]["nodes"] == 30
    assert data["inputs"] == [{"name": "image", "type": "float32[N, 1, 8, 8]", "optional": False}]
    assert data["outputs"] == [{"name": "logits", "type": "float32[N, 10]"}]
    assert {"operator": "BatchNormalization", "count": 3, "nested": 0} in data["operators"]
    assert data["largest_weights"][0] == {
        "name": "top.conv.weight",
        "type": "float32[64, 64, 3, 3]",
        "bytes": 64 * 64 * 9 * 4,
    }


def test_operators_of_subgraphs_are_counted(tmp_path: Path) -> None:
    data = graphopt("inspect", model(tmp_path / "m.onnx", nested=True), "--json").data
    assert {"operator": "Add", "count": 2, "nested": 2} in data["operators"]
    assert data["model"]["nodes"] == 4
    assert data["model"]["nested_nodes"] == 2


def test_the_tables_hold_what_the_data_holds() -> None:
    shown = graphopt("inspect", DIGITS).out
    for text in ("float32[N, 1, 8, 8]", "BatchNormalization", "top.conv.weight", "147 kB", "pytorch"):
        assert text in shown


def test_a_model_does_not_differ_from_itself() -> None:
    data = graphopt("diff", DIGITS, DIGITS, "--json").data
    assert data["differs"] is False
    assert [data[key] for key in ("interface", "operators", "nodes", "weights")] == [[], [], [], []]


def test_a_difference_is_shown_where_it_is(tmp_path: Path) -> None:
    first, second = model(tmp_path / "a.onnx"), model(tmp_path / "b.onnx", op="Sigmoid", weight=1.5)
    data = graphopt("diff", first, second, "--json").data
    assert data["differs"] is True
    assert data["same_interface"] is True
    assert data["operators"] == [
        {"operator": "Relu", "before": 1, "after": 0, "change": -1},
        {"operator": "Sigmoid", "before": 0, "after": 1, "change": 1},
    ]
    assert [(row["change"], row["node"], row["counterpart"]) for row in data["nodes"]] == [
        ("changed", "act", "operator Relu → Sigmoid")
    ]
    assert data["weights"] == [{"name": "w", "before": "float32[3]", "after": "float32[3]", "largest_change": 0.5}]


def test_a_renamed_node_is_gone_and_made(tmp_path: Path) -> None:
    first, second = model(tmp_path / "a.onnx"), model(tmp_path / "b.onnx", name="other")
    rows = graphopt("diff", first, second, "--json").data["nodes"]
    assert [(row["change"], row["node"]) for row in rows] == [("gone", "act"), ("made", "other")]


def test_what_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    assert "not an ONNX model" in refused("inspect", tmp_path / "text.onnx")
    assert "no such file" in refused("inspect", tmp_path / "none.onnx")
    assert "no such file" in refused("diff", DIGITS, tmp_path / "none.onnx")
