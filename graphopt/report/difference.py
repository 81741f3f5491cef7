"""What changed between two models: interface, operators, nodes by their source map, weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from graphopt.report.content import Cell, Column, Entry, Facts, Format, Report, Table
from graphopt.report.model import every_constant, every_node, operator_counts, text_of, weight_bytes

if TYPE_CHECKING:
    from graphopt.ir import Constant, Graph, Node


LONGEST = 60
"""Rows that a person is shown of a long table."""


def describe_difference(before: Graph, after: Graph) -> Report:
    """How `after` differs from `before`; its tables are empty exactly where the two say the same."""
    interface, operators = _interface(before, after), _operators(before, after)
    nodes, weights = _nodes(before, after), _weights(before, after)
    counts = [
        sum(operator_counts(before).values()),
        sum(operator_counts(after).values()),
        weight_bytes(before),
        weight_bytes(after),
    ]
    facts = Facts(
        "",
        "Difference",
        (
            Entry("differs", "differs", any(table.rows for table in (interface, operators, nodes, weights))),
            Entry("same_interface", "same interface", not interface.rows),
            Entry("nodes_before", "nodes before", counts[0], Format.COUNT),
            Entry("nodes_after", "nodes after", counts[1], Format.COUNT),
            Entry("weight_bytes_before", "weights before", counts[2], Format.BYTES),
            Entry("weight_bytes_after", "weights after", counts[3], Format.BYTES),
        ),
    )
    return Report((facts, interface, operators, nodes, weights))


def _interface(before: Graph, after: Graph) -> Table:
    old, new = _ports(before), _ports(after)
    rows: list[tuple[Cell, ...]] = [
        (key, old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)
    ]
    if old.keys() == new.keys() and list(old) != list(new):
        rows.append(("order", ", ".join(old), ", ".join(new)))
    columns = (Column("port", "port"), Column("before", "before"), Column("after", "after"))
    return Table("interface", "Interface", columns, tuple(rows))


def _ports(graph: Graph) -> dict[str, str]:
    ports = {
        f"input {value.name}": text_of(value.type) + (" with a default" if value in graph.defaults else "")
        for value in graph.inputs
    }
    for name, declared, value in zip(graph.output_names, graph.output_types, graph.outputs, strict=True):
        ports[f"output {name}"] = text_of(declared or value.type)
    return ports


def _operators(before: Graph, after: Graph) -> Table:
    old, new = operator_counts(before), operator_counts(after)
    rows = tuple(
        (op, old.get(op, 0), new.get(op, 0), new.get(op, 0) - old.get(op, 0))
        for op in dict.fromkeys([*old, *new])
        if old.get(op, 0) != new.get(op, 0)
    )
    columns = (
        Column("operator", "operator"),
        Column("before", "before", Format.COUNT),
        Column("after", "after", Format.COUNT),
        Column("change", "change", Format.COUNT),
    )
    return Table("operators", "Operators", columns, rows)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What of a node is compared, and what is shown of it."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Any]
    source: tuple[str, ...]
    rules: tuple[str, ...]


def _nodes(before: Graph, after: Graph) -> Table:
    """One row a node that is not in both as it was: gone (and into what), made (and from what), or changed."""
    old, new = _seen(before), _seen(after)
    heirs: dict[str, list[str]] = {}
    for node in new.values():
        for origin in node.source if node.rules else ():
            heirs.setdefault(origin, []).append(f"{node.op} {node.name}")
    rows: list[tuple[Cell, ...]] = []
    for name, node in old.items():
        twin = new.get(name)
        if twin is None:
            rows.append(("gone", node.op, name, ", ".join(heirs.get(name, [])) or None, None))
        elif change := _change(node, twin):
            rows.append(("changed", twin.op, name, change, ", ".join(twin.rules) or None))
    for name, node in new.items():
        if name not in old:
            rows.append(
                ("made", node.op, name, ", ".join(node.source) if node.rules else None, ", ".join(node.rules) or None)
            )
    columns = (
        Column("change", "change"),
        Column("operator", "operator"),
        Column("node", "node"),
        Column("counterpart", "became, or made of, or what changed"),
        Column("rules", "by rewrites"),
    )
    return Table("nodes", "Nodes", columns, tuple(rows), most=LONGEST)


def _seen(graph: Graph) -> dict[str, _Seen]:
    found: dict[str, _Seen] = {}
    for node, home, depth in every_node(graph):
        name = _name(node, home)
        key = name if depth == 0 else f"{home.name}/{name}"
        while key in found:
            key += "'"
        inputs = tuple(value.name if value is not None else "" for value in home.inputs_of(node))
        plain = {key: a.value for key, a in sorted(node.attributes.items()) if not list(_graphs(a.value))}
        found[key] = _Seen(name, node.qualified_op, inputs, plain, node.source, node.rules)
    return found


def _name(node: Node, home: Graph) -> str:
    first = next((value.name for value in home.outputs_of(node) if value is not None), "")
    return node.name or f"{node.qualified_op}→{first}"


def _graphs(value: object) -> Iterable[Graph]:
    from graphopt.ir import Graph

    items = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
    return (item for item in items if isinstance(item, Graph))


def _change(old: _Seen, new: _Seen) -> str:
    parts: list[str] = []
    if old.op != new.op:
        parts.append(f"operator {old.op} → {new.op}")
    parts += [
        f"attribute {key}"
        for key in dict.fromkeys([*old.attributes, *new.attributes])
        if not _same(old.attributes.get(key), new.attributes.get(key))
    ]
    if old.inputs != new.inputs:
        parts.append(f"inputs ({', '.join(old.inputs)}) → ({', '.join(new.inputs)})")
    return "; ".join(parts)


def _same(first: object, second: object) -> bool:
    from graphopt.ir import Constant

    if isinstance(first, Constant) and isinstance(second, Constant):
        return _equal(first, second)
    return repr(first) == repr(second)  # by what is written, so that NaN equals itself


def _weights(before: Graph, after: Graph) -> Table:
    old = {value.name: constant for value, constant in every_constant(before)}
    new = {value.name: constant for value, constant in every_constant(after)}
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys([*old, *new]):
        first, second = old.get(name), new.get(name)
        if first is None or second is None:
            rows.append((name, _typed(first), _typed(second), None))
        elif not _equal(first, second):
            rows.append((name, _typed(first), _typed(second), _largest_change(first, second)))
    columns = (
        Column("name", "name"),
        Column("before", "before"),
        Column("after", "after"),
        Column("largest_change", "largest change", Format.ERROR),
    )
    return Table("weights", "Weights", columns, tuple(rows), most=LONGEST)


def _typed(constant: Constant | None) -> str | None:
    return None if constant is None else f"{constant.dtype}[{', '.join(map(str, constant.shape))}]"


def _equal(first: Constant, second: Constant) -> bool:
    if first is second:
        return True
    if (first.dtype, tuple(first.shape)) != (second.dtype, tuple(second.shape)):
        return False
    return first.array().tobytes() == second.array().tobytes()


def _largest_change(first: Constant, second: Constant) -> float | None:
    """The largest difference of two elements; None where the two cannot be subtracted."""
    import numpy as np

    if tuple(first.shape) != tuple(second.shape) or not (first.dtype.is_float and second.dtype.is_float):
        return None
    with np.errstate(all="ignore"):
        difference = np.abs(first.array().astype(np.complex128) - second.array().astype(np.complex128))
    return float(difference.max(initial=0.0))
