"""The intermediate representation: `Graph`, and what it is made of.

`Graph` stands on networkx, which a runtime must not load: the names of `graph.py` are imported when first asked for.
"""

from typing import TYPE_CHECKING, Any

from graphopt.ir.attribute import Attribute, AttributeKind
from graphopt.ir.constant import Constant, Deferred, Dense, Fill, Mapped, size_of
from graphopt.ir.dim import Dim, Expr, floor_divide, function, product, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.types import OpaqueType, OptionalType, SequenceType, Shape, TensorType, Type

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph, Node, Slot, Use, Value

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
    "function",
    "product",
    "size_of",
    "symbol",
]


def __getattr__(name: str) -> Any:
    if name not in {"Graph", "Node", "Slot", "Use", "Value"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from graphopt.ir import graph

    return getattr(graph, name)
