"""Questions that rules ask of a graph, each answered in constant time."""

from __future__ import annotations

import numpy as np

from graphopt.ir import Constant, DType, Fill, Graph, Node, TensorType, Value


def has_one_use(graph: Graph, value: Value) -> bool:
    """Whether exactly one input slot in the graph uses the value, and the graph does not return it."""
    users = graph.users_of(value)
    return len(users) == 1 and graph.sink not in users and len(graph.uses(value)) == 1


def produced_by(graph: Graph, value: Value | None, *ops: str) -> Node | None:
    """The node that defines the value, when it is one of these (qualified) operators."""
    node = None if value is None else graph.producer(value)
    return node if node is not None and node.qualified_op in ops else None


def tensor_type(value: Value | None) -> TensorType | None:
    """The value's type when it is a tensor."""
    return value.type if value is not None and isinstance(value.type, TensorType) else None


def dtype_of(value: Value | None) -> DType | None:
    """The value's element type, if known."""
    type = tensor_type(value)
    return None if type is None else type.dtype


def rank_of(value: Value | None) -> int | None:
    """The value's number of dimensions, if known."""
    type = tensor_type(value)
    return None if type is None else type.rank


def uniform(constant: Constant | None) -> np.generic | None:
    """The one element that every element of the constant is, bit for bit; None when they differ or there are none."""
    if constant is None or 0 in constant.shape or constant.dtype is DType.STRING:
        return None
    if isinstance(constant, Fill):
        return constant.element
    elements = constant.array().reshape(-1)
    first: np.generic = elements[0]
    if elements.size > 1 and elements.tobytes() != np.repeat(elements[:1], elements.size).tobytes():
        return None
    return first


def integers(constant: Constant | None) -> tuple[int, ...] | None:
    """The elements of a constant of integers, in order; None when it is not one."""
    if constant is None or not constant.dtype.is_integer:
        return None
    return tuple(int(item) for item in constant.array().reshape(-1))
