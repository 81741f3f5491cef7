"""`infer_types`: one walk over a graph, types and known elements side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphopt.errors import ModelError
from graphopt.infer.containers import out_of_containers
from graphopt.infer.control import infer_control
from graphopt.infer.elements import constant_elements, known_elements
from graphopt.infer.length import is_long, short
from graphopt.infer.onnx_rule import infer_by_onnx
from graphopt.ir.dim import unmistakable
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType, Type
from graphopt.ops.call import plain_attributes
from graphopt.ops.facts import facts_of
from graphopt.ops.infer_call import apply_rule
from graphopt.ops.table import Inference, shape_rule_of

_SOME_TENSOR = TensorType(None)  # a value nothing is known of; a None among the types means an operand left out


def infer_types(graph: Graph) -> None:
    """Give every value of the graph, and of its subgraphs, its type, in place.

    Inputs and constants keep theirs.  An inner value has the type that is inferred, or none: what a model declares of
    it nobody upholds when a request comes, so nothing may rest on it.  ModelError, naming the node, when an application
    breaks its operator's specification, a declared element type is another than the inferred one, or the default of
    an input is not of the input's type.
    """
    infer_elements(graph)


def infer_elements(graph: Graph) -> dict[Value, np.ndarray]:
    """As `infer_types`; gives the known elements of values: numbers, or object arrays of `Dim`."""
    for value, default in graph.defaults.items():
        _check_default(value, TensorType(default.dtype, tuple(default.shape)))
    walk = Walk("")
    walk.run(graph)
    return walk.elements


class Walk:
    """One walk over a graph; `prefix` keeps the anonymous dimensions of a subgraph apart from those around it."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.elements: dict[Value, np.ndarray] = {}

    def run(self, graph: Graph) -> None:
        """Infer all values of the graph; types and elements of inputs and captures must be set."""
        try:
            nodes = graph.sorted_nodes()
        except ValueError as error:
            raise ModelError(str(error)) from error
        for value in graph.values():
            if value.constant is not None:
                found = constant_elements(value.constant)
                if found is not None:
                    self.elements[value] = found
        for node in nodes:
            self._infer(graph, node)

    def _infer(self, graph: Graph, node: Node) -> None:
        inputs, outputs = graph.inputs_of(node), graph.outputs_of(node)
        first = next((value.name for value in outputs if value is not None), node.name)
        call = Inference(
            node.op,
            node.domain,
            graph.opsets.get(node.domain, 1),
            plain_attributes(node.attributes),
            tuple(None if value is None else value.type or _SOME_TENSOR for value in inputs),
            self._known(node, inputs),
            len(outputs),
            self.prefix + unmistakable(first),
        )
        try:
            types, elements = self._types(graph, node, call)
        except ModelError as error:
            raise ModelError(f"node {node.name or first!r}: {error}") from error
        for value, type, known in zip(outputs, types, elements, strict=True):
            if value is None:
                continue
            _check_dtype(node, value, type)
            value.type = short(type)
            if known is not None and not is_long(known):
                self.elements[value] = known

    def _known(self, node: Node, inputs: Sequence[Value | None]) -> tuple[np.ndarray | None, ...]:
        """What is known of the operands' elements; of constant places and lengths all, however many they are."""
        facts = facts_of(node.op, node.domain)
        places = frozenset[int]() if facts is None else facts.checked_inputs
        return tuple(
            None
            if value is None
            else value.constant.array()
            if slot in places and value.constant is not None
            else self.elements.get(value)
            for slot, value in enumerate(inputs)
        )

    def _types(
        self, graph: Graph, node: Node, call: Inference
    ) -> tuple[tuple[Type | None, ...], tuple[np.ndarray | None, ...]]:
        rule = shape_rule_of(call.op, call.domain)
        if rule is None and any(True for _ in graph.subgraphs_of(node)):
            types = infer_control(graph, node, call, self.elements, Walk)
            return types, (None,) * call.outputs
        types = infer_by_onnx(call, node, graph.opsets) if rule is None else apply_rule(rule, call)
        types = out_of_containers(call, types)
        return types, known_elements(call, types)


def _check_default(value: Value, default: TensorType) -> None:
    declared = value.type
    if not isinstance(declared, TensorType):
        return
    same = declared.dtype in (None, default.dtype)
    if declared.shape is not None and default.shape is not None:
        same = same and len(declared.shape) == len(default.shape)
        same = same and not any(
            isinstance(a, int) and a != b for a, b in zip(declared.shape, default.shape, strict=True)
        )
    if not same:
        raise ModelError(f"input {value.name!r} is declared {declared}, but its default is {default}")


def _check_dtype(node: Node, value: Value, type: Type | None) -> None:
    declared = value.type
    if not (isinstance(type, TensorType) and isinstance(declared, TensorType)):
        return
    if type.dtype is not None and declared.dtype is not None and type.dtype is not declared.dtype:
        raise ModelError(
            f"node {node.name or value.name!r}: {node.op} gives {type.dtype}, "
            f"but {value.name!r} is declared {declared.dtype}"
        )
