"""`write_onnx`: from a `Graph` to a ModelProto that onnx's checker accepts where it accepted the source."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import ModelProto, TensorProto

from graphopt.frontend.write_graph import GraphWriter
from graphopt.ir.graph import Graph, Value

_INITIALIZERS_NEED_NO_INPUT = 4


def write_onnx(graph: Graph) -> ModelProto:
    """The model of a graph; a graph that was not read from a model gets the newest IR version.

    ModelError when the graph cannot be written: it has a cycle, or one of its names stands for two values.
    """
    return write_without(graph, {})


def write_without(graph: Graph, outside: Mapping[Value, TensorProto]) -> ModelProto:
    """As `write_onnx`, with the constants in `outside` written as these tensors, which say where their bytes lie."""
    model = ModelProto.FromString(graph.header)
    model.ir_version = max(model.ir_version or onnx.IR_VERSION, _INITIALIZERS_NEED_NO_INPUT)
    if not graph.header:
        model.producer_name = "graphopt"
    for domain, version in graph.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    model.graph.CopyFrom(GraphWriter(graph, outside=outside).write())
    return model
