"""`Graph` → `GraphProto`: values get names, the interface keeps its own.

Inside one graph a name stands for one value, and a subgraph must not hide a name of the graphs around it: a value
whose name is taken gets a fresh one.  The names of a model's inputs and outputs never change; where a returned
value cannot bear its interface name, an Identity gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from onnx import GraphProto, NodeProto, StringStringEntryProto, TensorProto, ValueInfoProto

from graphopt.errors import ModelError
from graphopt.frontend.attribute import write_attribute
from graphopt.frontend.provenance import provenance
from graphopt.frontend.sparse import Sparse, write_sparse_tensor
from graphopt.frontend.tensor import write_tensor
from graphopt.frontend.types import read_type, write_type
from graphopt.ir.constant import Constant
from graphopt.ir.dim import unmistakable
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType, Type


class GraphWriter:
    """Writes one graph, and the subgraphs of its nodes, into protos."""

    def __init__(
        self,
        graph: Graph,
        outer: Mapping[str, str] | None = None,
        visible: Iterable[str] = (),
        outside: Mapping[Value, TensorProto] | None = None,
    ) -> None:
        self.graph = graph
        self.outside = outside or {}
        """Constants whose bytes lie in another file, as the tensors that say where."""
        self.visible = frozenset(visible)
        self.names: dict[Value, str] = {}
        self.taken = set(self.visible)
        self.frame = GraphProto.FromString(graph.frame)
        captured = outer or {}
        for value in graph.captures:
            self.names[value] = captured[value.name]

    def write(self) -> GraphProto:
        """The proto; ModelError when the graph has a cycle or an interface name stands for two values."""
        graph, proto = self.graph, GraphProto(name=self.graph.name or "graph")
        if graph.doc:
            proto.doc_string = graph.doc
        _write_metadata(graph.metadata, proto.metadata_props)
        try:
            nodes = graph.sorted_nodes()
        except ValueError as error:
            raise ModelError(str(error)) from error
        output_names = self._name_interface()
        for value in graph.values():
            if value not in self.names:
                self.names[value] = self._fresh(value.name)
        known = {info.name: info for info in self.frame.input}
        for value in graph.inputs:
            proto.input.append(self._interface(self.names[value], value.type, known.get(value.name), value))
            if value in graph.defaults:
                _write_initializer(graph.defaults[value], value, self.names[value], proto, described=False)
        for value in graph.values():
            if value in self.outside:
                proto.initializer.append(self.outside[value])
                proto.initializer[-1].name = self.names[value]
            elif value.constant is not None:
                _write_initializer(value.constant, value, self.names[value], proto, described=True)
        for node in nodes:
            self._write_node(node, proto.node.add())
        known = {info.name: info for info in self.frame.output}
        for name, declared, value in zip(graph.output_names, graph.output_types, graph.outputs, strict=True):
            written = output_names[name]
            if self.names[value] != written and written not in {n.output[0] for n in proto.node[len(nodes) :]}:
                proto.node.add(op_type="Identity", input=[self.names[value]], output=[written])
            proto.output.append(self._interface(written, declared or value.type, known.get(name), value))
        self._write_infos(proto)
        self._write_annotations(proto)
        return proto

    def _name_interface(self) -> dict[str, str]:
        """Name the inputs and outputs; gives the written name of each output name."""
        graph = self.graph
        for value in graph.inputs:
            self.names[value] = self._fresh(value.name)
        owner = {value.name: value for value in graph.inputs}
        written: dict[str, str] = {}
        for name, value in zip(graph.output_names, graph.outputs, strict=True):
            if owner.setdefault(name, value) is not value:
                raise ModelError(f"graph {graph.name!r} cannot return {value} as {name!r}: that is {owner[name]}")
            if name not in written:
                written[name] = self.names[value] if value in graph.inputs and value.name == name else self._fresh(name)
        for name, value in zip(graph.output_names, graph.outputs, strict=True):
            self.names.setdefault(value, written[name])
        return written

    def _fresh(self, name: str) -> str:
        if name not in self.taken and name:
            self.taken.add(name)
            return name
        number = 1
        while f"{name}_{number}" in self.taken:
            number += 1
        return self._fresh(f"{name}_{number}")

    def _write_node(self, node: Node, proto: NodeProto) -> None:
        proto.op_type = node.op
        texts = (("domain", node.domain), ("name", node.name), ("overload", node.overload), ("doc_string", node.doc))
        for field, text in texts:
            if text:
                setattr(proto, field, text)
        proto.input.extend("" if v is None else self.names[v] for v in self.graph.inputs_of(node))
        proto.output.extend("" if v is None else self.names[v] for v in self.graph.outputs_of(node))
        captured = {key: self.names[value] for key, value in self.graph.captures_of(node).items()}

        def write_subgraph(graph: Graph) -> GraphProto:
            return GraphWriter(graph, captured, self.taken).write()

        for name, attribute in node.attributes.items():
            write_attribute(name, attribute, proto.attribute.add(), write_subgraph)
        _write_metadata({**node.metadata, **provenance(node)}, proto.metadata_props)
        if node.extra:
            proto.MergeFromString(node.extra)

    def _interface(self, name: str, type: Type | None, source: ValueInfoProto | None, value: Value) -> ValueInfoProto:
        info = ValueInfoProto(name=name)
        if source is not None and source.HasField("type") and read_type(source.type, unmistakable(source.name)) == type:
            info.type.CopyFrom(source.type)  # denotations and the source's own words for unknown dimensions
        elif type is not None:
            info.type.CopyFrom(write_type(type))
        _describe(info, value if source is None else source)
        return info

    def _write_infos(self, proto: GraphProto) -> None:
        shown = {info.name for info in proto.input} | {info.name for info in proto.output}
        for value in self.graph.values():
            name = self.names[value]
            if value.constant is not None or name in shown or self.graph.producer(value) is None:
                continue
            typed = value.type is not None and not (isinstance(value.type, TensorType) and value.type.dtype is None)
            if not typed or value.type is None:
                continue  # ONNX has no place for a doc string without a type
            info = proto.value_info.add(name=name)
            info.type.CopyFrom(write_type(value.type))
            _describe(info, value)

    def _write_annotations(self, proto: GraphProto) -> None:
        names = {value.name: self.names[value] for value in self.graph.values()}
        for annotation in self.frame.quantization_annotation:
            parameters = [entry.value for entry in annotation.quant_parameter_tensor_names]
            if all(name in names for name in [annotation.tensor_name, *parameters]):
                added = proto.quantization_annotation.add()
                added.CopyFrom(annotation)
                added.tensor_name = names[annotation.tensor_name]
                for entry in added.quant_parameter_tensor_names:
                    entry.value = names[entry.value]


def _describe(info: ValueInfoProto, source: Value | ValueInfoProto) -> None:
    doc = source.doc if isinstance(source, Value) else source.doc_string
    if doc:
        info.doc_string = doc
    if isinstance(source, Value):
        _write_metadata(source.metadata, info.metadata_props)
    else:
        info.metadata_props.extend(source.metadata_props)


def _write_metadata(metadata: Mapping[str, str], into: object) -> None:
    into.extend(StringStringEntryProto(key=key, value=value) for key, value in metadata.items())  # type: ignore[attr-defined]


def _write_initializer(constant: Constant, value: Value, name: str, proto: GraphProto, *, described: bool) -> None:
    if isinstance(constant, Sparse):
        proto.sparse_initializer.append(write_sparse_tensor(constant, name))
        return
    tensor = write_tensor(constant, name)
    if described:
        if value.doc:
            tensor.doc_string = value.doc
        _write_metadata(value.metadata, tensor.metadata_props)
    proto.initializer.append(tensor)
