"""JSON → attribute values, types and dimensions: the inverse of what `encode` writes for them, strict."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ir.dim import Dim, Expr, floor_divide, product, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.types import OpaqueType, OptionalType, SequenceType, TensorType, Type


def parse_pairs(items: Any) -> dict[str, Any]:
    """A table from sorted pairs; ValueError for a name that comes twice."""
    table = {str(name): parse_plain(value) for name, value in items}
    if len(table) != len(items):
        raise ValueError("a name comes twice in a table of attributes")
    return table


def parse_plain(entry: Any) -> Any:
    """The value a pair of tag and text stands for; ValueError for a tag that does not exist."""
    tag, value = entry
    match tag:
        case "none":
            return None
        case "int":
            return int(value)
        case "float":
            return float.fromhex(value)
        case "text" if isinstance(value, str):
            return value
        case "bytes":
            return bytes.fromhex(value)
        case "list":
            return tuple(parse_plain(item) for item in value)
        case "map":
            return parse_pairs(value)
        case "array":
            name, shape, elements = value
            dtype = next((known.numpy for known in DType if known is not DType.STRING and str(known) == name), None)
            found = np.frombuffer(bytes.fromhex(elements), dtype or np.dtype(name)).reshape(shape)
            found.setflags(write=False)
            return found
        case "strings":
            shape, items = value
            found = np.empty(len(items), object)
            found[:] = [parse_plain(item) for item in items]
            return found.reshape(shape)
        case _:
            raise ValueError(f"no value has the tag {tag!r}")


def parse_type(entry: Any) -> Type | None:
    """The type that `type_json` wrote."""
    match entry:
        case None:
            return None
        case ["tensor", dtype, shape]:
            dims = None if shape is None else tuple(parse_dim(dim) for dim in shape)
            return TensorType(None if dtype is None else DType(dtype), dims)
        case ["sequence", element]:
            return SequenceType(_some(parse_type(element)))
        case ["optional", element]:
            return OptionalType(_some(parse_type(element)))
        case ["opaque", proto]:
            return OpaqueType(bytes.fromhex(proto))
        case _:
            raise ValueError("a type is neither tensor, sequence, optional nor opaque")


def parse_dim(entry: Any) -> Dim:
    """The dimension that `dim_json` wrote."""
    if isinstance(entry, int):
        return _int(entry)
    total: Dim = 0
    for coefficient, atoms in entry:
        total = total + product([_int(coefficient), *(_atom(atom) for atom in atoms)])
    return total


def _atom(entry: Any) -> Dim:
    if isinstance(entry, str):
        return symbol(entry)
    numerator, denominator = entry
    quotient = floor_divide(parse_dim(numerator), parse_dim(denominator))
    if not isinstance(quotient, Expr):
        raise ValueError("a quotient in a dimension is not in canonical form")
    return quotient


def _int(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _some(type: Type | None) -> Type:
    if type is None:
        raise ValueError("a container has no element type")
    return type
