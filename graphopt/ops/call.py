"""From a node of a graph to a `Call`: the arrays it is given, and its attributes as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.ir.attribute import Attribute, AttributeKind
from graphopt.ir.constant import Constant
from graphopt.ir.dtype import DType
from graphopt.ops.table import Call

if TYPE_CHECKING:
    from graphopt.ir.graph import Node


def plain_attributes(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """The attributes as a `Call` carries them: numbers, str, ndarray, Graph, tuples of these."""
    return {name: _plain(attribute) for name, attribute in attributes.items()}


def call_of(node: Node, inputs: Sequence[Any], outputs: int, opsets: Mapping[str, int]) -> Call:
    """The application of a node's operator to arrays, in the opset version that `opsets` imports (1 if none)."""
    version = opsets.get(node.domain, opsets.get("ai.onnx", 1) if not node.domain else 1)
    return Call(node.op, node.domain, version, plain_attributes(node.attributes), tuple(inputs), outputs)


def elements(constant: Constant) -> np.ndarray:
    """The elements of a constant as operators take them: strings as `str` objects, not bytes."""
    array = constant.array()
    return as_text(array) if constant.dtype is DType.STRING else array


def as_text(array: np.ndarray) -> np.ndarray:
    """A string tensor with `str` elements; bytes that are not UTF-8 survive as surrogate escapes."""
    flat = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item) for item in array.flat]
    out = np.empty(array.shape, object)
    out.reshape(-1)[:] = flat
    return out


def _plain(attribute: Attribute) -> Any:
    match attribute.kind:
        case AttributeKind.STRING:
            return _text(attribute.value)
        case AttributeKind.STRINGS:
            return tuple(_text(item) for item in attribute.value)
        case AttributeKind.TENSOR:
            return elements(attribute.value)
        case AttributeKind.TENSORS:
            return tuple(elements(item) for item in attribute.value)
        case _:
            return attribute.value


def _text(value: bytes | str) -> str | bytes:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value
