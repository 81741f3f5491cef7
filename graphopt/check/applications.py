"""Checks every application of a rewrite before it happens: a `Watcher` that runs the region on both sides."""

from __future__ import annotations

from collections.abc import Iterable

from graphopt.check.differential import check_application
from graphopt.ir.constant import Constant
from graphopt.ir.graph import Graph, Node, Value
from graphopt.rewrite.rewriter import Application

_MOST_NODES = 64
"""How far back a region goes: what lies beyond is fed."""


class CheckApplications:
    """Refuses an application whose two sides differ on adversarial values, by the contract of its rule.

    The region is what the rewrite replaces, down to the values that both sides share; these are fed.  Applications
    that cannot be run on their own (unknown types, operators without a meaning, subgraphs that capture) are let
    through and counted in `unchecked`; `checked` counts the others.
    """

    def __init__(self, *, trials: int = 4, seed: int = 0) -> None:
        self.trials = trials
        self.seed = seed
        self.checked = 0
        self.unchecked = 0

    def admit(self, application: Application) -> str | None:
        """None when both sides agree, else a sentence that says where they differ."""
        regions = regions_of(application)
        if regions is None:
            self.unchecked += 1
            return None
        report = check_application(
            *regions, application.rule.exactness, trials=self.trials, seed=self.seed + self.checked
        )
        if not report.trials and not report.failures:
            self.unchecked += 1
            return None
        self.checked += 1
        return None if report.passed else f"the two sides differ: {report}"


def regions_of(application: Application) -> tuple[Graph, Graph] | None:
    """The old and the new side of an application, as graphs with shared inputs; None where that cannot be."""
    graph = application.graph
    made = set(application.made)
    operands = dict.fromkeys(value for node in application.made for value in graph.operands_of(node))
    frontier = {value for value in operands if graph.producer(value) not in made}
    for _, new in application.replaced:
        producer = graph.producer(new)
        if producer in made:
            continue
        if producer is None or _cannot_run(graph, producer):
            frontier.add(new)
        else:  # what the value is may be why the law holds: f(f(x)) is f(x), for an idempotent f
            frontier.update(graph.operands_of(producer))
    before = _cone(graph, [old for old, _ in application.replaced], frontier)
    after = _cone(graph, [new for _, new in application.replaced], frontier)
    if len(before) > _MOST_NODES or any(_cannot_run(graph, node) for node in (*before, *after)):
        return None
    outputs = application.replaced
    read = [value for node in (*before, *after) for value in graph.operands_of(node)]
    inside = {value for node in (*before, *after) for value in graph.outputs_of(node)}
    fed = [v for v in dict.fromkeys([*read, *(v for pair in outputs for v in pair)]) if v not in inside]
    if any(value.type is None for value in fed):
        return None
    old_side = _region(application, before, fed, [old for old, _ in outputs])
    new_side = _region(application, after, fed, [new for _, new in outputs])
    return old_side, new_side


def _cone(graph: Graph, results: Iterable[Value], frontier: set[Value]) -> list[Node]:
    """The nodes that compute the results from the frontier, results first."""
    found: dict[Node, None] = {}
    queue = [value for value in results if value not in frontier]
    for value in queue:
        node = graph.producer(value)
        if node is None or node in found or len(found) > _MOST_NODES:
            continue
        found[node] = None
        queue += [operand for operand in graph.operands_of(node) if operand not in frontier]
    return list(found)


def _producers_first(graph: Graph, nodes: list[Node]) -> list[Node]:
    left = dict.fromkeys(nodes)
    order: dict[Node, None] = {}
    for root in nodes:
        stack = [root]
        while stack:
            producers = (graph.producer(value) for value in graph.operands_of(stack[-1]))
            first = next((node for node in producers if node is not None and node in left and node not in order), None)
            if first is None:
                order[stack.pop()] = None
            else:
                stack.append(first)
    return list(order)


def _cannot_run(graph: Graph, node: Node) -> bool:
    """Whether the node holds graphs that are not its own small body."""
    inner = any(True for _ in graph.subgraphs_of(node))
    return bool(graph.captures_of(node)) or (inner and node.domain != "ai.graphopt")


def _region(application: Application, nodes: list[Node], fed: list[Value], results: list[Value]) -> Graph:
    graph = application.graph
    region = Graph(application.rule.name, application.opsets)
    new: dict[Value, Value] = {}
    for place, value in enumerate(fed):
        held: Constant | None = application.constant_of(value)
        name = f"i{place}"
        new[value] = region.add_input(name, value.type) if held is None else region.add_constant(held, name)
    for node in _producers_first(graph, nodes):
        outputs = graph.outputs_of(node)
        made = region.add_node(
            node.op,
            [None if value is None else new[value] for value in graph.inputs_of(node)],
            [None if value is None else value.name for value in outputs],
            node.attributes,
            domain=node.domain,
            name=node.name,
            types=[None if value is None else value.type for value in outputs],
        )
        new |= dict(zip((value for value in outputs if value is not None), made, strict=True))
    for place, value in enumerate(results):
        region.add_output(new[value], f"o{place}")
    return region
