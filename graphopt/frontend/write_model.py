"""`write_onnx`: from a `Graph` to a ModelProto that onnx's checker accepts where it accepted the source."""

from __future__ import annotations

import onnx
from onnx import ModelProto

from graphopt.frontend.write_graph import GraphWriter
from graphopt.ir.graph import Graph

_INITIALIZERS_NEED_NO_INPUT = 4


def write_onnx(graph: Graph) -> ModelProto:
    """The model of a graph; a graph that was not read from a model gets the newest IR version.

    ModelError when the graph cannot be written: it has a cycle, or one of its names stands for two values.
    """
    model = ModelProto.FromString(graph.header)
    model.ir_version = max(model.ir_version or onnx.IR_VERSION, _INITIALIZERS_NEED_NO_INPUT)
    model.producer_name = model.producer_name or "graphopt"
    for domain, version in graph.opsets.items():
        model.opset_import.add(domain=domain, version=version)
    model.graph.CopyFrom(GraphWriter(graph).write())
    return model
