"""`TypeProto` ↔ `Type`.

A dimension the model does not name becomes an anonymous symbol of its own (`?value.axis`), and is written back
as unknown.  So do −1 and the texts by which exporters say "unknown" (`?`, `None`): two of them need not be equal.
A `dim_param` is a name, never parsed: `sequence-length` is not a difference.
"""

from __future__ import annotations

from onnx import TypeProto

from graphopt.errors import ModelError
from graphopt.ir.dim import Dim, Expr, Symbol, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.types import OpaqueType, OptionalType, SequenceType, TensorType, Type

_UNKNOWN = frozenset({"", "?", "None", "-1"})


def read_type(proto: TypeProto, name: str) -> Type | None:
    """The type a TypeProto declares for the value called `name`; None when it declares nothing."""
    match proto.WhichOneof("value"):
        case "tensor_type":
            return _read_tensor(proto.tensor_type, name)
        case "sequence_type":
            element = read_type(proto.sequence_type.elem_type, f"{name}.element")
            return None if element is None else SequenceType(element)
        case "optional_type":
            element = read_type(proto.optional_type.elem_type, f"{name}.element")
            return None if element is None else OptionalType(element)
        case None:
            return None
        case _:
            return OpaqueType(proto.SerializeToString(deterministic=True))


def write_type(type: Type) -> TypeProto:
    """The TypeProto of a type; a tensor of undeclared element type gives one without."""
    proto = TypeProto()
    match type:
        case TensorType(dtype, shape):
            proto.tensor_type.elem_type = 0 if dtype is None else int(dtype)
            if shape is not None:
                proto.tensor_type.shape.SetInParent()
                for dim in shape:
                    _write_dim(proto.tensor_type.shape.dim.add(), dim)
        case SequenceType(element):
            proto.sequence_type.elem_type.CopyFrom(write_type(element))
        case OptionalType(element):
            proto.optional_type.elem_type.CopyFrom(write_type(element))
        case OpaqueType(serialised):
            proto.ParseFromString(serialised)
    return proto


def read_dtype(number: int, where: str) -> DType | None:
    """The element type of a number in a model, None for 0 (undeclared); ModelError for one we do not know."""
    if number == 0:
        return None
    try:
        return DType(number)
    except ValueError:
        raise ModelError(
            f"{where}: element type {number} is unknown (known are 1 to {int(max(DType))}); "
            "the model may be newer than this version"
        ) from None


def _read_tensor(proto: TypeProto.Tensor, name: str) -> TensorType:
    dtype = read_dtype(proto.elem_type, f"type of {name!r}")
    if not proto.HasField("shape"):
        return TensorType(dtype)
    dims: list[Dim] = []
    for axis, dim in enumerate(proto.shape.dim):
        kind = dim.WhichOneof("value")
        if kind == "dim_value" and dim.dim_value >= 0:
            dims.append(dim.dim_value)
        elif kind == "dim_param" and not _is_unknown(dim.dim_param):
            dims.append(symbol(dim.dim_param))
        else:
            dims.append(symbol(f"?{name}.{axis}"))
    return TensorType(dtype, tuple(dims))


def _is_unknown(text: str) -> bool:
    return text in _UNKNOWN or text.startswith("?") or text.isdecimal()


def _write_dim(proto: object, dim: Dim) -> None:
    if isinstance(dim, int):
        proto.dim_value = dim  # type: ignore[attr-defined]
    elif not dim.is_anonymous:
        proto.dim_param = _text(dim)  # type: ignore[attr-defined]


def _text(dim: Expr) -> str:
    match dim.terms:
        case ((((Symbol(name),), 1)),):
            return name
        case _:
            return str(dim)
