"""onnx's own inference for one node: the rule of an operator that has none of ours."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import GraphProto, NodeProto, TypeProto

from graphopt.errors import ModelError
from graphopt.frontend.attribute import write_attribute
from graphopt.frontend.tensor import write_tensor
from graphopt.frontend.types import read_type, write_type
from graphopt.ir.constant import Dense
from graphopt.ir.dim import Dim, symbol
from graphopt.ir.graph import Graph, Node
from graphopt.ir.types import OptionalType, SequenceType, TensorType, Type
from graphopt.ops.table import Inference


def infer_by_onnx(call: Inference, node: Node, opsets: Mapping[str, int]) -> tuple[Type | None, ...]:
    """The output types as onnx infers them; all None for a domain it does not know.

    Our expressions go in under names of their own and come back as themselves.
    ModelError, when all dims are numbers, for what breaks the operator's specification.
    """
    nothing = (None,) * call.outputs
    if any(isinstance(type, TensorType) and type.dtype is None for type in call.types):
        return nothing
    try:
        schema = onnx.defs.get_schema(call.op, call.version, call.domain)
    except onnx.defs.SchemaError:
        return nothing
    proto = NodeProto(op_type=call.op, domain=call.domain)
    names: dict[str, Dim] = {}
    types: dict[str, TypeProto] = {}
    data = {}
    for slot, (type, value) in enumerate(zip(call.types, call.values, strict=True)):
        proto.input.append(f"i{slot}" if type is not None else "")
        if type is None:
            continue
        types[f"i{slot}"] = write_type(_with_plain_names(type, names))
        if value is not None and value.dtype != object:
            data[f"i{slot}"] = write_tensor(Dense.of(value))
    proto.output.extend(f"o{slot}" for slot in range(call.outputs))
    for name, attribute in node.attributes.items():
        write_attribute(name, attribute, proto.attribute.add(), _no_graph)
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, {}, imports)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError) as error:
        if names:
            return nothing  # some of its rules refuse a dimension that is only not known yet
        raise ModelError(" ".join(str(error).split())) from error
    outputs = tuple(_read(found.get(f"o{slot}"), call, slot, names) for slot in range(call.outputs))
    if names and not any(_has_zero(type) for type in call.types):
        return tuple(_without_zeros(type, call, slot) for slot, type in enumerate(outputs))
    return outputs


def _has_zero(type: Type | None) -> bool:
    return isinstance(type, TensorType) and type.shape is not None and 0 in type.shape


def _without_zeros(type: Type | None, call: Inference, slot: int) -> Type | None:
    """onnx reads an unknown dimension as 0 in some of its rules: a 0 that no operand has says nothing."""
    if not _has_zero(type) or not isinstance(type, TensorType) or type.shape is None:
        return type
    fresh = (symbol(f"?{call.name}.{slot}.{axis}") for axis in range(len(type.shape)))
    return TensorType(type.dtype, tuple(new if dim == 0 else dim for dim, new in zip(type.shape, fresh, strict=True)))


def _no_graph(graph: Graph) -> GraphProto:
    raise NotImplementedError(f"control flow around {graph.name!r} is inferred by our own rules")


def _with_plain_names(type: Type, names: dict[str, Dim]) -> Type:
    match type:
        case TensorType(dtype, shape) if shape is not None:
            plain: list[Dim] = []
            for dim in shape:
                if not isinstance(dim, int):
                    name = f"d{len(names)}"
                    names[name], dim = dim, symbol(name)
                plain.append(dim)
            return TensorType(dtype, tuple(plain))
        case SequenceType(element):
            return SequenceType(_with_plain_names(element, names))
        case OptionalType(element):
            return OptionalType(_with_plain_names(element, names))
        case _:
            return type


def _read(proto: TypeProto | None, call: Inference, slot: int, names: Mapping[str, Dim]) -> Type | None:
    if proto is None:
        return None
    type = read_type(proto, call.name if slot == 0 else f"{call.name}.{slot}")
    return None if type is None else _with_our_names(type, names)


def _with_our_names(type: Type, names: Mapping[str, Dim]) -> Type:
    match type:
        case TensorType(dtype, shape) if shape is not None:
            return TensorType(dtype, tuple(names.get(str(dim), dim) for dim in shape))
        case SequenceType(element):
            return SequenceType(_with_our_names(element, names))
        case OptionalType(element):
            return OptionalType(_with_our_names(element, names))
        case _:
            return type
