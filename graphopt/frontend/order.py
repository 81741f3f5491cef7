"""The order of a graph's nodes: as written when producers come first, else sorted.

ONNX wants producers first and its checker refuses other orders; ONNX Runtime runs them.  What they mean is not in
doubt, so we sort them, stably, and refuse only cycles.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from onnx import AttributeProto, GraphProto, NodeProto

from graphopt.errors import ModelError


def in_order(nodes: Sequence[NodeProto], graph: str, find: Callable[[str], object | None]) -> Sequence[NodeProto]:
    """The nodes, each after those it depends on; `find` tells which names are defined around them.

    ModelError names the nodes of a cycle.  Names that nothing defines are left for the reader to report.
    """
    producer: dict[str, int] = {}
    for i, node in enumerate(nodes):
        for name in node.output:
            if name:
                producer.setdefault(name, i)
    needs = [sorted({producer[name] for name in _used(node) if name in producer}) for node in nodes]
    if all(not need or need[-1] < i for i, need in enumerate(needs)):
        return nodes
    users: list[list[int]] = [[] for _ in nodes]
    missing = [len(need) for need in needs]
    for i, need in enumerate(needs):
        for j in need:
            users[j].append(i)
    ready = [i for i, count in enumerate(missing) if count == 0]
    order: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        order.append(i)
        for user in users[i]:
            missing[user] -= 1
            if missing[user] == 0:
                heapq.heappush(ready, user)
    if len(order) < len(nodes):
        raise ModelError(f"graph {graph!r} has a cycle: {_show_cycle(nodes, needs, missing)}")
    return [nodes[i] for i in order]


def free_names(graph: GraphProto) -> set[str]:
    """The names a subgraph uses and does not define."""
    defined = {info.name for info in graph.input} | {tensor.name for tensor in graph.initializer}
    defined |= {tensor.values.name for tensor in graph.sparse_initializer}
    used = {info.name for info in graph.output}
    for node in graph.node:
        used |= _used(node)
        defined.update(node.output)
    return used - defined


def _used(node: NodeProto) -> set[str]:
    used = set(node.input)
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH or attribute.HasField("g"):
            used |= free_names(attribute.g)
        for graph in attribute.graphs:
            used |= free_names(graph)
    used.discard("")
    return used


def _show_cycle(nodes: Sequence[NodeProto], needs: list[list[int]], missing: list[int]) -> str:
    i = next(i for i, count in enumerate(missing) if count)
    seen: list[int] = []
    while i not in seen:
        seen.append(i)
        i = next(j for j in needs[i] if missing[j])
    cycle = seen[seen.index(i) :]
    names = [nodes[j].name or next(iter(nodes[j].output), "?") for j in [*cycle[:6], i]]
    return " needs ".join(repr(name) for name in names) if len(cycle) <= 6 else " needs ".join(names[:6]) + " …"
