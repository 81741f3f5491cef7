"""The source map survives the file."""

from __future__ import annotations

from graphopt.frontend import read_onnx, write_onnx
from graphopt.ir import DType, Graph, TensorType


def graph_of(*rules: str) -> Graph:
    graph = Graph("g", {"": 20})
    x = graph.add_input("x", TensorType(DType.FLOAT32, (2,)))
    (y,) = graph.add_node("Relu", [x], name="new", source=("Conv_0", "BN\n1"), rules=rules)
    graph.add_output(y, "y")
    return graph


def test_what_a_rewrite_made_says_so_after_writing_and_reading() -> None:
    model = write_onnx(graph_of("fuse-bn", "fuse-relu"))
    (node,) = read_onnx(model).nodes()
    assert node.source == ("Conv_0", "BN\n1")
    assert node.rules == ("fuse-bn", "fuse-relu")
    assert node.metadata == {}


def test_a_node_that_nobody_touched_gets_no_entry() -> None:
    (node,) = write_onnx(graph_of()).graph.node
    assert not node.metadata_props


def test_an_entry_of_another_form_is_left_alone() -> None:
    model = write_onnx(graph_of("r"))
    for entry in model.graph.node[0].metadata_props:
        entry.value = '{"not": "a list"}'
    (node,) = read_onnx(model).nodes()
    assert node.source == ("new",)
    assert set(node.metadata) == {"graphopt.source", "graphopt.rules"}
