"""The graph verifier: what must hold of every graph, before and after every pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from graphopt.ir import Constant, Graph, Node, TensorType, Type, Value
from graphopt.ir.attribute import AttributeKind


@dataclass(frozen=True)
class Interface:
    """What callers see of a graph: it never changes."""

    inputs: tuple[tuple[str, Type | None], ...]
    outputs: tuple[tuple[str, Type | None], ...]
    defaults: tuple[tuple[str, Constant], ...]
    opsets: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, graph: Graph) -> Interface:
        """The graph's interface as it is now."""
        return cls(
            tuple((value.name, value.type) for value in graph.inputs),
            tuple(zip(graph.output_names, graph.output_types, strict=True)),
            tuple((value.name, constant) for value, constant in graph.defaults.items()),
            tuple(sorted(graph.opsets.items())),
        )


def problem_of(graph: Graph) -> str | None:
    """The first thing that is wrong with a graph and its subgraphs, as a sentence; None when all is well.

    Checked: every edge joins a value and a node; every slot is filled once; every value has one definition, or is an
    input, a constant or a capture; names are there and differ; captures and the edges that feed them agree; a
    constant's type is its own; outputs are complete; nothing is computed from itself.
    """
    definitions: dict[Value, int] = {}
    return (
        _problem_of_edges(graph, definitions)
        or _problem_of_values(graph, definitions)
        or _problem_of_interface(graph)
        or _problem_of_subgraphs(graph)
        or _problem_of_order(graph)
    )


def _problem_of_edges(graph: Graph, definitions: dict[Value, int]) -> str | None:
    """What is wrong with an edge; counts the definitions of each value."""
    filled: set[tuple[Node, object]] = set()
    defined: set[tuple[Node, object]] = set()
    for tail, head, key in graph.net.edges(keys=True):
        match tail, head:
            case Value(), Node():
                if (head, key) in filled:
                    return f"input slot {key} of {head} is filled twice"
                filled.add((head, key))
            case Node(), Value():
                if (tail, key) in defined:
                    return f"output slot {key} of {tail} defines two values"
                if not isinstance(key, int):
                    return f"{tail} defines {head} in slot {key!r}, which is not a number"
                defined.add((tail, key))
                definitions[head] = definitions.get(head, 0) + 1
            case _:
                return f"the edge {tail} → {head} does not join a value and a node"
    return None


def _problem_of_values(graph: Graph, definitions: Mapping[Value, int]) -> str | None:
    sources = set(graph.inputs) | set(graph.captures)
    names: set[str] = set()
    for value in graph.values():
        count = definitions.get(value, 0)
        if value in sources or value.constant is not None:
            if count:
                return f"{value} is an input, a constant or a capture, and {graph.producer(value)} defines it too"
        elif count != 1:
            return f"{value} has {count} definitions"
        if not value.name or value.name in names:
            return f"two values are named {value.name!r}" if value.name else "a value has no name"
        names.add(value.name)
        if value.constant is not None and value.type != TensorType(value.constant.dtype, tuple(value.constant.shape)):
            return f"{value} holds {value.constant.dtype}{list(value.constant.shape)} and is typed {value.type}"
    return None


def _problem_of_interface(graph: Graph) -> str | None:
    missing = [value for value in (*graph.inputs, *graph.captures) if value not in graph.net]
    if missing:
        return f"the input {missing[0]} is not in the graph"
    if len(graph.output_names) != len(graph.output_types) or len(graph.outputs) != len(graph.output_names):
        return f"{len(graph.output_names)} outputs are named and {len(graph.outputs)} are returned"
    named = set(zip(graph.output_names, graph.outputs, strict=True))  # one value may be returned twice under one name
    if len(named) != len(set(graph.output_names)):
        return "two outputs have one name"
    strangers = [value for value in graph.defaults if value not in graph.inputs]
    return f"{strangers[0]} has a default and is no input" if strangers else None


def _problem_of_subgraphs(graph: Graph) -> str | None:
    for node in graph.nodes():
        if not holds_graphs(node):
            continue
        given = set(graph.captures_of(node))
        for inner in graph.subgraphs_of(node):
            wanted = {value.name for value in inner.captures}
            if wanted - given:
                return f"{node} does not give its subgraph {inner.name!r} the captured {sorted(wanted - given)[0]!r}"
            problem = problem_of(inner)
            if problem is not None:
                return f"in subgraph {inner.name!r} of {node}, {problem}"
    return None


def _problem_of_order(graph: Graph) -> str | None:
    try:
        graph.sorted_nodes()
    except ValueError:
        cycle: list[tuple[object, object, object]] = nx.find_cycle(graph.net)
        stuck = next(vertex for edge in cycle for vertex in edge if isinstance(vertex, Node))
        return f"{stuck} is computed from its own result"
    return None


def holds_graphs(node: Node) -> bool:
    """Whether some attribute of the node is a graph (If, Loop, Scan and their like)."""
    return any(attribute.kind in _GRAPHS for attribute in node.attributes.values())


_GRAPHS = frozenset({AttributeKind.GRAPH, AttributeKind.GRAPHS})
