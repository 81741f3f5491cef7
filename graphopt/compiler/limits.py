"""What the elements of a model's integer inputs may be, from what consumes them: indices, lengths, counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from graphopt.ir.dim import Dim
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType
from graphopt.ops.facts import facts_of


@dataclass(frozen=True, slots=True)
class Limits:
    """The elements of one input lie in `low` … the smallest of `below`, that one left out.

    `values` are what the elements are compared with: those decide branches, and what is selected.
    """

    low: int = 0
    below: tuple[Dim, ...] = ()
    values: tuple[int, ...] = ()

    def ends(self, sizes: Mapping[str, int]) -> tuple[int, int]:
        """The two ends for these sizes of the symbols; without a limit, 0 and 2."""
        known = [dim if isinstance(dim, int) else _evaluated(dim, sizes) for dim in self.below]
        found = [end for end in known if end is not None and end > self.low]
        return self.low, min(found, default=max(2, self.low + 1))

    def __or__(self, other: Limits) -> Limits:
        return Limits(max(self.low, other.low), self.below + other.below, self.values + other.values)


MOST_VALUES = 4096
"""So many numbers that an input is compared with are taken notice of."""


def limits_of(graph: Graph) -> dict[Value, Limits]:
    """The limits of each input of a graph."""
    return {value: _follow(graph, value, set()) for value in graph.inputs}


def _follow(graph: Graph, value: Value, seen: set[Value]) -> Limits:
    found = Limits()
    if value in seen:
        return found
    seen.add(value)
    for use in graph.uses(value):
        node = use.node
        if node is graph.sink:
            continue
        if isinstance(use.slot, str):
            inner = (g for g in graph.subgraphs_of(node))
            parts = [_follow(g, v, seen) for g in inner for v in g.captures if v.name == use.slot]
        elif (limit := _limit(graph, node, use.slot)) is not None:
            parts = [limit]
        elif use.slot == 0 and _keeps_elements(node):
            parts = [_follow(graph, v, seen) for v in graph.outputs_of(node) if v is not None]
        else:
            parts = []
        for part in parts:
            found |= part
    return replace(found, values=tuple(dict.fromkeys(found.values))[:MOST_VALUES])


def _keeps_elements(node: Node) -> bool:
    facts = facts_of(node.op, node.domain)
    return facts is not None and (facts.moves or node.op in ("Cast", "Identity"))


def _limit(graph: Graph, node: Node, slot: int) -> Limits | None:
    """The limits that an operator sets to the elements of one of its operands; None where it sets none."""
    inputs = graph.inputs_of(node)
    if node.op == "Equal":
        other = inputs[1 - slot]
        if other is None or other.constant is None or other.constant.dtype.is_float:
            return None
        return Limits(values=tuple(int(v) for v in other.constant.array().reshape(-1)[:MOST_VALUES]))
    if node.op == "OneHot" and slot == 0:
        depth = inputs[1]
        known = depth is not None and depth.constant is not None
        return Limits(below=(int(depth.constant.array().reshape(-1)[0]),)) if depth and known else None  # pyright: ignore[reportOptionalMemberAccess]
    shape = _shape(inputs[0])
    if shape is None:
        return None
    match node.op, slot:
        case (("Gather" | "GatherElements" | "ScatterElements" | "Scatter"), 1):
            axis = int(node.get("axis", 0))
            return Limits(below=(shape[axis],)) if -len(shape) <= axis < len(shape) else None
        case (("GatherND" | "ScatterND"), 1):
            index = _shape(inputs[1])
            batch = int(node.get("batch_dims", 0))
            width = index[-1] if index else None
            return Limits(below=shape[batch : batch + width]) if isinstance(width, int) else None
        case "ArrayFeatureExtractor", 1:
            return Limits(below=(shape[-1],))
        case (("LSTM" | "GRU" | "RNN"), 4):
            return Limits(1, ((shape[1] if node.get("layout", 0) else shape[0]) + 1,))
        case "ReverseSequence", 1:
            return Limits(1, (shape[int(node.get("time_axis", 0))] + 1,))
        case _:
            return None


def _shape(value: Value | None) -> tuple[Dim, ...] | None:
    if value is None:
        return None
    if value.constant is not None:
        return tuple(value.constant.shape)
    return value.type.shape if isinstance(value.type, TensorType) else None


def _evaluated(dim: Dim, sizes: Mapping[str, int]) -> int | None:
    if isinstance(dim, int):
        return dim
    try:
        return dim.evaluate(sizes)
    except (KeyError, ValueError, ZeroDivisionError):
        return None
