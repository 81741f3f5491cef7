"""The node cases that ship with onnx, run node by node through our meanings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from graphopt.check import run_call
from graphopt.ops.call import as_text
from graphopt.ops.table import Call, meaning_of


@dataclass(frozen=True)
class NodeCase:
    """One model of onnx's backend tests: the model, and its data sets of inputs and expected outputs."""

    name: str
    model: onnx.ModelProto
    data_sets: list[tuple[list[Any], list[Any]]]
    relative: float
    absolute: float

    @property
    def ops(self) -> list[tuple[str, str]]:
        return [(node.domain, node.op_type) for node in self.model.graph.node]

    @property
    def has_graphs(self) -> bool:
        return any(a.type in (5, 10) for node in self.model.graph.node for a in node.attribute)

    @property
    def is_ours(self) -> bool:
        """Whether every node has a meaning of ours."""
        return all(op == "Constant" or meaning_of(op, domain) for domain, op in self.ops)


def node_cases() -> list[NodeCase]:
    """Every node case of the installed onnx, in order of name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's remarks while onnx makes its expectations
        from onnx.backend.test.loader import load_model_tests

        cases: list[Any] = load_model_tests(kind="node")
    return sorted(
        (NodeCase(c.name, c.model, c.data_sets, c.rtol, c.atol) for c in cases if c.data_sets), key=lambda c: c.name
    )


def _value(proto: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(proto)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, (list, tuple)) or hasattr(value, "__len__"):
        return tuple(item.decode() if isinstance(item, bytes) else item for item in value)
    return value


def as_input(value: Any) -> Any:
    """A case's value as an operator takes it."""
    if isinstance(value, (list, tuple)):
        return [as_input(item) for item in value]
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
    array = np.asarray(value)
    return as_text(array) if array.dtype.kind in "USO" else array


def run_case(case: NodeCase, inputs: list[Any]) -> list[Any]:
    """The outputs of a case's graph, node by node, through `run_call`."""
    opsets = {entry.domain: entry.version for entry in case.model.opset_import}
    graph = case.model.graph
    values: dict[str, Any] = {"": None} | {t.name: as_input(t) for t in graph.initializer}
    values |= {info.name: as_input(value) for info, value in zip(graph.input, inputs, strict=False)}
    for node in graph.node:
        attributes = {a.name: _value(a) for a in node.attribute}
        if node.op_type == "Constant":
            name, value = next(iter(attributes.items()))
            dtype = object if "string" in name else np.float32 if "float" in name else np.int64
            values[node.output[0]] = value if name == "value" else np.array(value, dtype)
            continue
        given = tuple(values[name] for name in node.input)
        call = Call(node.op_type, node.domain, opsets[node.domain], attributes, given, len(node.output))
        values |= dict(zip(node.output, run_call(call), strict=False))
        values[""] = None
    return [values[info.name] for info in graph.output]
