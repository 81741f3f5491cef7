"""The intermediate representation: `Graph`, and what it is made of."""

from graphopt.ir.attribute import Attribute, AttributeKind
from graphopt.ir.constant import Constant, Deferred, Dense, Fill, Mapped, size_of
from graphopt.ir.dim import Dim, Expr, floor_divide, product, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Node, Slot, Use, Value
from graphopt.ir.types import OpaqueType, OptionalType, SequenceType, Shape, TensorType, Type

__all__ = [
    "Attribute",
    "AttributeKind",
    "Constant",
    "DType",
    "Deferred",
    "Dense",
    "Dim",
    "Expr",
    "Fill",
    "Graph",
    "Mapped",
    "Node",
    "OpaqueType",
    "OptionalType",
    "SequenceType",
    "Shape",
    "Slot",
    "TensorType",
    "Type",
    "Use",
    "Value",
    "floor_divide",
    "product",
    "size_of",
    "symbol",
]
