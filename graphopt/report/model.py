"""What a model is: its interface, its operators, its weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphopt.report.content import Cell, Column, Entry, Facts, Format, Report, Section, Table

if TYPE_CHECKING:
    from graphopt.ir import Constant, Graph, Node, Value
    from graphopt.ir.types import Type

LARGEST_SHOWN = 10


def describe_model(graph: Graph, *, title: str = "Model") -> Report:
    """The facts, inputs, outputs, operators and largest weights of a model, subgraphs included."""
    return Report((_facts(graph, title), *interface(graph), _operators(graph), _weights(graph)))


def interface(graph: Graph) -> tuple[Section, ...]:
    """The tables of inputs and outputs, as a caller sees them."""
    columns = (Column("name", "name"), Column("type", "type"))
    inputs: list[tuple[Cell, ...]] = [
        (value.name, text_of(value.type), value in graph.defaults) for value in graph.inputs
    ]
    outputs: list[tuple[Cell, ...]] = [
        (name, text_of(declared or value.type))
        for name, declared, value in zip(graph.output_names, graph.output_types, graph.outputs, strict=True)
    ]
    return (
        Table("inputs", "Inputs", (*columns, Column("optional", "has a default")), tuple(inputs)),
        Table("outputs", "Outputs", columns, tuple(outputs)),
    )


def text_of(declared: Type | None) -> str:
    """A type as people write it, its anonymous dimensions as `?`."""
    from graphopt.ir.types import TensorType

    if not isinstance(declared, TensorType) or declared.shape is None:
        return str(declared) if declared is not None else "?"
    dims = (str(dim) if isinstance(dim, int) or not dim.is_anonymous else "?" for dim in declared.shape)
    return f"{declared.dtype or '?'}[{', '.join(dims)}]"


def every_node(graph: Graph, depth: int = 0) -> Iterator[tuple[Node, Graph, int]]:
    """Every operator with the graph it stands in and how deep that is nested (0 for the model itself)."""
    for node in graph.nodes():
        yield node, graph, depth
        for inner in graph.subgraphs_of(node):
            yield from every_node(inner, depth + 1)


def every_constant(graph: Graph) -> Iterator[tuple[Value, Constant]]:
    """Every constant value, those of nested graphs and the defaults of inputs included."""
    for value in graph.values():
        constant = graph.defaults.get(value, value.constant)
        if constant is not None:
            yield value, constant
    for node in graph.nodes():
        for inner in graph.subgraphs_of(node):
            yield from every_constant(inner)


def weight_bytes(graph: Graph) -> int:
    """Bytes of all constants together."""
    from graphopt.ir import size_of

    return sum(size_of(constant) for _, constant in every_constant(graph))


def operator_counts(graph: Graph) -> dict[str, int]:
    """How often each operator stands in the model, the most frequent first."""
    counts: dict[str, int] = {}
    for node, _, _ in every_node(graph):
        counts[node.qualified_op] = counts.get(node.qualified_op, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _facts(graph: Graph, title: str) -> Facts:
    nodes = list(every_node(graph))
    rewritten = sum(bool(node.rules) for node, _, _ in nodes)
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in sorted(graph.opsets.items()))
    return Facts(
        "model",
        title,
        (
            Entry("name", "name", graph.name),
            Entry("producer", "made by", _producer(graph)),
            Entry("opsets", "operator sets", opsets),
            Entry("nodes", "nodes", len(nodes), Format.COUNT),
            Entry("nested_nodes", "of these in subgraphs", sum(depth > 0 for _, _, depth in nodes), Format.COUNT),
            Entry("rewritten_nodes", "made or changed by rewrites", rewritten, Format.COUNT),
            Entry("weights", "weights", sum(1 for _ in every_constant(graph)), Format.COUNT),
            Entry("weight_bytes", "bytes of weights", weight_bytes(graph), Format.BYTES),
        ),
    )


def _producer(graph: Graph) -> str:
    from onnx import ModelProto

    header = ModelProto.FromString(graph.header)
    return f"{header.producer_name} {header.producer_version}".strip()


def _operators(graph: Graph) -> Table:
    nested: dict[str, int] = {}
    for node, _, depth in every_node(graph):
        nested[node.qualified_op] = nested.get(node.qualified_op, 0) + (depth > 0)
    rows = tuple((op, count, nested[op]) for op, count in operator_counts(graph).items())
    columns = (
        Column("operator", "operator"),
        Column("count", "count", Format.COUNT),
        Column("nested", "in subgraphs", Format.COUNT),
    )
    return Table("operators", "Operators", columns, rows)


def _weights(graph: Graph) -> Table:
    from graphopt.ir import size_of

    sized = sorted(((size_of(c), v.name, c) for v, c in every_constant(graph)), key=lambda item: (-item[0], item[1]))
    rows = tuple((name, _shaped(constant), size) for size, name, constant in sized[:LARGEST_SHOWN])
    columns = (Column("name", "name"), Column("type", "type"), Column("bytes", "size", Format.BYTES))
    return Table("largest_weights", "Largest weights", columns, rows)


def _shaped(constant: Constant) -> str:
    return f"{constant.dtype}[{', '.join(map(str, constant.shape))}]"
