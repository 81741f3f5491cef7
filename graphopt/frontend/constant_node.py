"""Constant nodes, in all their forms, as constants."""

from __future__ import annotations

from onnx import SparseTensorProto

from graphopt.errors import ModelError
from graphopt.frontend.sparse import read_sparse_tensor
from graphopt.ir.attribute import Attribute
from graphopt.ir.constant import Constant, Dense
from graphopt.ir.dtype import DType

_TYPES = {
    "value_float": DType.FLOAT32,
    "value_floats": DType.FLOAT32,
    "value_int": DType.INT64,
    "value_ints": DType.INT64,
    "value_string": DType.STRING,
    "value_strings": DType.STRING,
}


def read_constant_node(attributes: dict[str, Attribute], where: str) -> Constant:
    """The constant a Constant node gives; ModelError unless exactly one of its attributes says it."""
    if len(attributes) != 1:
        raise ModelError(f"{where} must have exactly one attribute, the value, but has {len(attributes)}")
    ((name, attribute),) = attributes.items()
    if name == "value":
        return attribute.value
    if name == "sparse_value":
        return read_sparse_tensor(SparseTensorProto.FromString(attribute.value), where, None)
    if name not in _TYPES:
        raise ModelError(f"{where} has the attribute {name!r}, which a Constant does not have")
    return Dense.of(attribute.value, _TYPES[name])
