"""`AttributeProto` ↔ `Attribute`, but for graphs, which the graph's reader and writer pass in."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from onnx import AttributeProto, GraphProto, SparseTensorProto, TypeProto

from graphopt.errors import ModelError
from graphopt.frontend.external import Folder
from graphopt.frontend.tensor import read_tensor, write_tensor
from graphopt.ir.attribute import Attribute, AttributeKind
from graphopt.ir.graph import Graph

_SCALARS = {AttributeKind.FLOAT: "f", AttributeKind.INT: "i", AttributeKind.STRING: "s"}
_LISTS = {AttributeKind.FLOATS: "floats", AttributeKind.INTS: "ints", AttributeKind.STRINGS: "strings"}
_FIELD_KIND = {
    "f": AttributeKind.FLOAT, "i": AttributeKind.INT, "s": AttributeKind.STRING, "t": AttributeKind.TENSOR,
    "g": AttributeKind.GRAPH, "tp": AttributeKind.TYPE_PROTO, "sparse_tensor": AttributeKind.SPARSE_TENSOR,
    "floats": AttributeKind.FLOATS, "ints": AttributeKind.INTS, "strings": AttributeKind.STRINGS,
    "tensors": AttributeKind.TENSORS, "graphs": AttributeKind.GRAPHS, "type_protos": AttributeKind.TYPE_PROTOS,
    "sparse_tensors": AttributeKind.SPARSE_TENSORS,
}  # fmt: skip


def read_attribute(
    proto: AttributeProto, where: str, folder: Folder | None, read_graph: Callable[[GraphProto], Graph]
) -> Attribute:
    """The attribute a proto holds; ModelError when its declared type and its filled field disagree."""
    filled = [field.name for field, _ in proto.ListFields() if field.name in _FIELD_KIND]
    if proto.type == 0 and len(filled) == 1:
        kind = _FIELD_KIND[filled[0]]  # before IR version 2 the type was not written
    elif proto.type == 0 or proto.type not in AttributeKind.__members__.values():
        raise ModelError(f"{where}: attribute {proto.name!r} has no type this version knows (got {proto.type})")
    else:
        kind = AttributeKind(proto.type)
    wrong = [name for name in filled if _FIELD_KIND[name] is not kind]
    if wrong:
        raise ModelError(f"{where}: attribute {proto.name!r} is declared {kind.name} but fills {wrong[0]!r}")
    doc = proto.doc_string
    if kind in _SCALARS:
        return Attribute(kind, getattr(proto, _SCALARS[kind]), doc)
    if kind in _LISTS:
        return Attribute(kind, tuple(getattr(proto, _LISTS[kind])), doc)
    tensor_name = f"{where}: attribute {proto.name!r}"
    match kind:
        case AttributeKind.TENSOR:
            if not proto.HasField("t"):
                raise ModelError(f"{tensor_name} is declared a TENSOR but holds none")
            return Attribute(kind, read_tensor(proto.t, tensor_name, folder), doc)
        case AttributeKind.TENSORS:
            return Attribute(kind, tuple(read_tensor(t, tensor_name, folder) for t in proto.tensors), doc)
        case AttributeKind.GRAPH:
            if not proto.HasField("g"):
                raise ModelError(f"{tensor_name} is declared a GRAPH but holds none")
            return Attribute(kind, read_graph(proto.g), doc)
        case AttributeKind.GRAPHS:
            return Attribute(kind, tuple(read_graph(g) for g in proto.graphs), doc)
        case AttributeKind.SPARSE_TENSOR:
            return Attribute(kind, proto.sparse_tensor.SerializeToString(deterministic=True), doc)
        case AttributeKind.SPARSE_TENSORS:
            return Attribute(kind, tuple(t.SerializeToString(deterministic=True) for t in proto.sparse_tensors), doc)
        case AttributeKind.TYPE_PROTO:
            return Attribute(kind, proto.tp.SerializeToString(deterministic=True), doc)
        case _:
            return Attribute(kind, tuple(t.SerializeToString(deterministic=True) for t in proto.type_protos), doc)


def write_attribute(
    name: str, attribute: Attribute, into: AttributeProto, write_graph: Callable[[Graph], GraphProto]
) -> None:
    """Fill an AttributeProto from an attribute."""
    into.name = name
    into.type = cast(AttributeProto.AttributeType, int(attribute.kind))
    if attribute.doc:
        into.doc_string = attribute.doc
    kind, value = attribute.kind, attribute.value
    if kind in _SCALARS:
        setattr(into, _SCALARS[kind], value)
        return
    if kind in _LISTS:
        getattr(into, _LISTS[kind]).extend(value)
        return
    match kind:
        case AttributeKind.TENSOR:
            into.t.CopyFrom(write_tensor(value))
        case AttributeKind.TENSORS:
            into.tensors.extend(write_tensor(tensor) for tensor in value)
        case AttributeKind.GRAPH:
            into.g.CopyFrom(write_graph(value))
        case AttributeKind.GRAPHS:
            into.graphs.extend(write_graph(graph) for graph in value)
        case AttributeKind.SPARSE_TENSOR:
            into.sparse_tensor.ParseFromString(value)
        case AttributeKind.SPARSE_TENSORS:
            into.sparse_tensors.extend(SparseTensorProto.FromString(item) for item in value)
        case AttributeKind.TYPE_PROTO:
            into.tp.ParseFromString(value)
        case _:
            into.type_protos.extend(TypeProto.FromString(item) for item in value)
