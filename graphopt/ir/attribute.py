"""Attributes of a node, with ONNX's kind kept so that an empty list or a whole float survives a round trip."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np

from graphopt.ir.constant import Dense


class AttributeKind(IntEnum):
    """The kind of an attribute; the value is ONNX's `AttributeProto.AttributeType`."""

    FLOAT = 1
    INT = 2
    STRING = 3
    TENSOR = 4
    GRAPH = 5
    FLOATS = 6
    INTS = 7
    STRINGS = 8
    TENSORS = 9
    GRAPHS = 10
    SPARSE_TENSOR = 11
    SPARSE_TENSORS = 12
    TYPE_PROTO = 13
    TYPE_PROTOS = 14


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute.

    `value` is, by kind: float, int, bytes; a `Constant`; a `Graph`; tuples of these; for sparse tensors and
    types the serialised proto, which the compiler carries and does not look into.
    """

    kind: AttributeKind
    value: Any
    doc: str = ""

    @classmethod
    def of(cls, value: object) -> Attribute:
        """The attribute for a Python value; TypeError for one that has no kind, ValueError for an empty list."""
        if isinstance(value, Attribute):
            return value
        if isinstance(value, (list, tuple)):
            items = [cls.of(item) for item in value]
            if not items:
                raise ValueError("an empty list has no kind: write Attribute(kind, ())")
            kinds = {item.kind for item in items}
            if kinds == {AttributeKind.INT, AttributeKind.FLOAT}:
                return cls(AttributeKind.FLOATS, tuple(float(item.value) for item in items))
            if len(kinds) > 1:
                raise TypeError(f"a list attribute must have one kind, got {sorted(k.name for k in kinds)}")
            return cls(_LIST_OF[kinds.pop()], tuple(item.value for item in items))
        if isinstance(value, (bool, int, np.integer)):
            return cls(AttributeKind.INT, int(value))
        if isinstance(value, (float, np.floating)):
            return cls(AttributeKind.FLOAT, float(value))
        if isinstance(value, str):
            return cls(AttributeKind.STRING, value.encode())
        if isinstance(value, bytes):
            return cls(AttributeKind.STRING, value)
        if isinstance(value, np.ndarray):
            return cls(AttributeKind.TENSOR, Dense.of(value))
        if hasattr(value, "net"):
            return cls(AttributeKind.GRAPH, value)
        if hasattr(value, "array"):
            return cls(AttributeKind.TENSOR, value)
        raise TypeError(f"no attribute kind for {type(value).__name__}")


_LIST_OF = {
    AttributeKind.FLOAT: AttributeKind.FLOATS,
    AttributeKind.INT: AttributeKind.INTS,
    AttributeKind.STRING: AttributeKind.STRINGS,
    AttributeKind.TENSOR: AttributeKind.TENSORS,
    AttributeKind.GRAPH: AttributeKind.GRAPHS,
}
