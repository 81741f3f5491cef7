"""`GraphProto` → `Graph`: names become values, Constant nodes constants, free names of subgraphs captures.

Names are resolved through `Scope`s: one for each graph, and one for each inlined function call, whose names are
its own although its nodes land in the caller's graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TensorProto, ValueInfoProto

from graphopt.errors import ModelError
from graphopt.frontend.attribute import read_attribute
from graphopt.frontend.budget import ReadingBudget
from graphopt.frontend.constant_node import read_constant_node
from graphopt.frontend.external import Folder
from graphopt.frontend.order import in_order
from graphopt.frontend.provenance import restore_provenance
from graphopt.frontend.schema import check_node
from graphopt.frontend.sparse import read_sparse_tensor
from graphopt.frontend.tensor import read_tensor
from graphopt.frontend.types import read_type
from graphopt.ir.attribute import Attribute
from graphopt.ir.constant import Constant
from graphopt.ir.dim import unmistakable
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import Type

FunctionKey = tuple[str, str, str]
"""(domain, name, overload)."""


@dataclass(slots=True)
class Scope:
    """The names visible at one place: its own values, then those of the graph around it, captured on demand."""

    graph: Graph
    outer: Scope | None = None
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    used: dict[str, Value] = field(default_factory=dict[str, Value])
    """For a subgraph: name of the capture inside → value of the graph around."""
    infos: Mapping[str, ValueInfoProto] = field(default_factory=dict[str, ValueInfoProto])
    prefix: str = ""
    arguments: Mapping[str, AttributeProto] = field(default_factory=dict[str, AttributeProto])
    """What the attributes of the function call stand for."""

    def find(self, name: str) -> Value | None:
        """The value a name stands for here; a value of an outer graph is captured."""
        value = self.values.get(name)
        if value is None and self.outer is not None:
            around = self.outer.find(name)
            if around is not None:
                value = self.graph.add_capture(name, around.type)
                self.values[name] = value
                self.used[value.name] = around
        return value


class GraphReader:
    """Reads the graphs of one model."""

    def __init__(
        self,
        opsets: Mapping[str, int],
        functions: Mapping[FunctionKey, FunctionProto],
        folder: Folder | None,
        listed_constants: bool,
        budget: ReadingBudget | None = None,
    ) -> None:
        self.opsets = opsets
        self.functions = functions
        self.folder = folder
        self.listed_constants = listed_constants
        """Whether an initializer that is also listed as an input is a constant (IR version < 4)."""
        self.budget = budget or ReadingBudget(0)

    def read(self, proto: GraphProto, outer: Scope | None = None) -> Scope:
        """The graph of a proto, with the scope in which it was read; ModelError when it is not well formed."""
        graph = Graph(proto.name, self.opsets)
        scope = Scope(graph, outer, infos={info.name: info for info in proto.value_info})
        self._read_frame(proto, graph)
        self._read_inputs(proto, scope)
        self._read_nodes(proto.node, scope)
        for info in proto.output:
            value = scope.find(info.name)
            if value is None or not info.name:
                raise ModelError(f"graph {graph.name!r}: nothing computes its output {info.name!r}")
            declared = read_type(info.type, unmistakable(info.name)) if info.HasField("type") else None
            _describe(value, info, declared)
            graph.add_output(value, info.name, declared)
        return scope

    def _read_frame(self, proto: GraphProto, graph: Graph) -> None:
        graph.doc = proto.doc_string
        graph.metadata = {entry.key: entry.value for entry in proto.metadata_props}
        frame = GraphProto()
        frame.input.extend(proto.input)
        frame.output.extend(proto.output)
        frame.quantization_annotation.extend(proto.quantization_annotation)
        graph.frame = frame.SerializeToString(deterministic=True)

    def _read_inputs(self, proto: GraphProto, scope: Scope) -> None:
        graph = scope.graph
        constants: dict[str, tuple[Constant, TensorProto]] = {}
        for tensor in proto.initializer:
            if not tensor.name:
                raise ModelError(f"graph {graph.name!r} has an initializer without a name")
            if tensor.name in constants:
                raise ModelError(f"graph {graph.name!r} has two initializers named {tensor.name!r}")
            where = f"initializer {tensor.name!r}"
            constants[tensor.name] = read_tensor(tensor, where, self.folder), tensor
        for sparse in proto.sparse_initializer:
            name = sparse.values.name
            if not name or name in constants:
                raise ModelError(f"graph {graph.name!r} has two initializers named {name!r}, or one without a name")
            constants[name] = read_sparse_tensor(sparse, f"sparse initializer {name!r}", self.folder), sparse.values
        for info in proto.input:
            if not info.name:
                raise ModelError(f"graph {graph.name!r} has an input without a name")
            if info.name in scope.values:
                raise ModelError(f"graph {graph.name!r} has two inputs named {info.name!r}")
            if self.listed_constants and info.name in constants:
                continue
            default, _ = constants.pop(info.name, (None, None))
            declared = read_type(info.type, unmistakable(info.name)) if info.HasField("type") else None
            value = graph.add_input(info.name, declared, default)
            _describe(value, info, None)
            scope.values[info.name] = value
        for name, (constant, tensor) in constants.items():
            value = graph.add_constant(constant, name)
            value.doc = tensor.doc_string
            value.metadata = {entry.key: entry.value for entry in tensor.metadata_props}
            scope.values[name] = value

    def _read_nodes(self, nodes: Sequence[NodeProto], scope: Scope) -> None:
        for node in in_order(nodes, scope.graph.name, scope.find):
            key = (_domain(node.domain), node.op_type, node.overload)
            function = self.functions.get(key)
            if function is not None:
                self._inline(node, function, scope)
            else:
                self._read_node(node, scope)

    def _read_node(self, node: NodeProto, scope: Scope) -> None:
        where = describe_node(node)
        domain = _domain(node.domain)
        subgraphs: list[Scope] = []

        def read_subgraph(proto: GraphProto) -> Graph:
            with self.budget.subgraph(where):
                subgraphs.append(self.read(proto, scope))
            return subgraphs[-1].graph

        attributes: dict[str, Attribute] = {}
        for proto in node.attribute:
            bound = scope.arguments.get(proto.ref_attr_name) if proto.ref_attr_name else proto
            if bound is None:
                continue  # an attribute of the function that the call leaves out
            if proto.name in attributes:
                raise ModelError(f"{where} has two attributes named {proto.name!r}")
            if bound is not proto:
                self.budget.charge(0, bound.ByteSize(), where)
            attributes[proto.name] = read_attribute(bound, where, self.folder, read_subgraph)
        check_node(node, attributes, self.opsets, where)
        if node.op_type == "Constant" and not domain:
            self._define(node.output[0], scope, self._constant(node, attributes, where, scope), node)
            return
        made = scope.graph.insert_node(
            _plain_node(node, domain, attributes, scope.prefix),
            [self._find(name, scope, where) for name in node.input],
            [scope.prefix + name if name else None for name in node.output],
            types=[self._declared(name, scope) for name in node.output],
            captures=_join_captures(subgraphs),
        )
        for name, value in zip((n for n in node.output if n), made, strict=True):
            self._define(name, scope, value, node)

    def _constant(self, node: NodeProto, attributes: dict[str, Attribute], where: str, scope: Scope) -> Value:
        value = scope.graph.add_constant(read_constant_node(attributes, where), scope.prefix + node.output[0])
        value.doc = node.doc_string
        value.metadata = {entry.key: entry.value for entry in node.metadata_props}
        return value

    def _define(self, name: str, scope: Scope, value: Value, node: NodeProto) -> None:
        known = scope.values.get(name)
        if known is not None and known not in scope.graph.captures:
            raise ModelError(f"graph {scope.graph.name!r}: {describe_node(node)} defines {name!r} a second time")
        scope.values[name] = value
        info = scope.infos.get(name)
        if info is not None:
            _describe(value, info, None)

    def _declared(self, name: str, scope: Scope) -> Type | None:
        info = scope.infos.get(name)
        return read_type(info.type, unmistakable(name)) if info is not None and info.HasField("type") else None

    def _find(self, name: str, scope: Scope, where: str) -> Value | None:
        if not name:
            return None
        value = scope.find(name)
        if value is None:
            raise ModelError(f"graph {scope.graph.name!r}: {where} uses {name!r}, which nothing defines")
        return value

    def _inline(self, node: NodeProto, function: FunctionProto, scope: Scope) -> None:
        where = describe_node(node)
        self.budget.charge(1 + len(function.node), function.ByteSize(), where)
        if len(node.input) > len(function.input) or len(node.output) > len(function.output):
            raise ModelError(
                f"{where} calls function {function.name!r} with {len(node.input)} inputs for {len(node.output)} "
                f"outputs; it has {len(function.input)} inputs and {len(function.output)} outputs"
            )
        prefix = f"{scope.prefix}{node.name or node.op_type}/"
        inner = Scope(scope.graph, prefix=prefix, arguments=_arguments(node, function, scope))
        for formal, name in zip(function.input, node.input, strict=False):
            value = self._find(name, scope, where)
            if value is not None:
                inner.values[formal] = value
        with self.budget.call(where):
            self._read_nodes(_without_omitted(function, inner), inner)
        for formal, name in zip(function.output, node.output, strict=False):
            if not name:
                continue
            value = inner.find(formal)
            if value is None:
                raise ModelError(f"{where}: nothing in function {function.name!r} computes its output {formal!r}")
            self._define(name, scope, value, node)


def describe_node(node: NodeProto) -> str:
    """How errors name a node: by its name, else by what it computes."""
    op = f"{node.domain}::{node.op_type}" if node.domain else node.op_type
    if node.name:
        return f"node {node.name!r} ({op})"
    return f"the node that computes {next(iter(node.output), '')!r} ({op})"


def _plain_node(node: NodeProto, domain: str, attributes: dict[str, Attribute], prefix: str) -> Node:
    extra = b""
    if node.device_configurations:
        extra = NodeProto(device_configurations=node.device_configurations).SerializeToString(deterministic=True)
    made = Node(
        node.op_type,
        domain,
        attributes,
        prefix + node.name if node.name else "",
        overload=node.overload,
        doc=node.doc_string,
        metadata={entry.key: entry.value for entry in node.metadata_props},
        source=(node.name or next(iter(node.output), ""),),
        extra=extra,
    )
    restore_provenance(made)
    return made


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _describe(value: Value, info: ValueInfoProto, declared: Type | None) -> None:
    if value.type is None:
        value.type = declared
    value.doc = value.doc or info.doc_string
    for entry in info.metadata_props:
        value.metadata.setdefault(entry.key, entry.value)


def _join_captures(subgraphs: Iterable[Scope]) -> dict[str, Value]:
    joined: dict[str, Value] = {}
    for scope in subgraphs:
        for name, value in list(scope.used.items()):
            if joined.get(name, value) is value:
                joined[name] = value
                continue
            inner = next(v for v in scope.graph.captures if v.name == name)
            fresh = scope.graph.fresh_name(f"{name}_captured")
            while fresh in joined:
                fresh = scope.graph.fresh_name(f"{name}_captured")
            inner.name = fresh  # two branches use one name for two values
            joined[fresh] = value
    return joined


def _arguments(node: NodeProto, function: FunctionProto, scope: Scope) -> dict[str, AttributeProto]:
    arguments = {proto.name: proto for proto in function.attribute_proto}
    for proto in node.attribute:
        bound = scope.arguments.get(proto.ref_attr_name) if proto.ref_attr_name else proto
        if bound is not None:
            arguments[proto.name] = bound
    return arguments


def _without_omitted(function: FunctionProto, inner: Scope) -> list[NodeProto]:
    """The function's nodes, where inputs that the call leaves out are left out."""
    omitted = {name for name in function.input if name not in inner.values}
    if not omitted:
        return list(function.node)
    nodes: list[NodeProto] = []
    for node in function.node:
        if omitted.intersection(node.input):
            copied = NodeProto()
            copied.CopyFrom(node)
            copied.input[:] = ["" if name in omitted else name for name in node.input]
            node = copied
        nodes.append(node)
    return nodes
