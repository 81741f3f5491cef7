"""merge-common-subexpressions: what is computed twice is computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from graphopt.ir import Attribute, Constant, Fill, Graph, Node, Value
from graphopt.ops.facts import facts_of, is_deterministic
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule
from graphopt.rewrite.run import Pass
from graphopt.rewrite.verify import holds_graphs


@dataclass(frozen=True, slots=True)
class _ShareConstants(Rule):
    """Two constants of one type, shape and content (bit for bit: −0 is not 0) → one of them."""

    first: dict[Hashable, Value]
    contents: _Contents
    name: ClassVar[str] = "merge-equal-constants"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def __hash__(self) -> int:
        return id(self)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        for value in rewriter.graph.operands_of(node):
            if value.constant is not None:
                rewriter.replace(value, self.first.setdefault(self.contents.key(value.constant), value))
        return None


@dataclass(frozen=True, slots=True)
class _MergeNodes(Rule):
    """Two nodes of one operator, with equal attributes and the same operands → one of them.

    Operands of commutative operators may be swapped.  Not for operators that are random, unknown, or hold subgraphs.
    Attributes are equal when their kinds and bits are: 0.0 and −0.0 differ, NaN equals itself.
    """

    first: dict[Hashable, Node]
    contents: _Contents
    name: ClassVar[str] = "merge-common-subexpressions"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def __hash__(self) -> int:
        return id(self)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        if holds_graphs(node):
            return None
        key = self._key(graph, node)
        twin = self.first.setdefault(key, node)
        if twin is node:
            return None
        if not is_deterministic(graph, node):
            return Declined(f"{node.qualified_op} gives another result each time, or is not known")
        if any(a is None and b is not None for a, b in self._paired(graph, twin, node)):
            self.first[key] = node  # this one gives more, so that later ones may use it
            return Declined("the earlier one leaves an output out that this one gives")
        for kept, doubled in self._paired(graph, twin, node):
            if kept is not None and doubled is not None:
                rewriter.replace(doubled, kept)
        return None

    def _key(self, graph: Graph, node: Node) -> Hashable:
        """What tells the node from others; its attributes are read only where another has the same operands."""
        operands = _operands(graph, node)
        alone = self.first.setdefault(operands, node)
        if alone is node:
            return operands
        self.first.setdefault((operands, self._attributes(alone)), alone)
        return (operands, self._attributes(node))

    def _attributes(self, node: Node) -> Hashable:
        return tuple((name, self.contents.attribute(node.attributes[name])) for name in sorted(node.attributes))

    @staticmethod
    def _paired(graph: Graph, twin: Node, node: Node) -> list[tuple[Value | None, Value | None]]:
        kept, doubled = graph.outputs_of(twin), graph.outputs_of(node)
        return [(kept[slot] if slot < len(kept) else None, value) for slot, value in enumerate(doubled)]


@dataclass(frozen=True, slots=True)
class MergeCommonSubexpressions(Pass):
    """Merges equal constants and equal computations, in one walk from producers to users, each graph on its own."""

    name: ClassVar[str] = "merge-common-subexpressions"

    def run(self, rewriter: Rewriter, level: Exactness) -> None:
        contents = _Contents.of(rewriter.graph)
        constants, nodes = _ShareConstants({}, contents), _MergeNodes({}, contents)
        for node in [rewriter.graph.sink, *rewriter.graph.sorted_nodes()]:
            rewriter.attempt(constants, node)
            if node is not rewriter.graph.sink:
                rewriter.attempt(nodes, node)


def _operands(graph: Graph, node: Node) -> Hashable:
    operands = [None if value is None else id(value) for value in graph.inputs_of(node)]
    facts = facts_of(node.op, node.domain)
    if facts is not None and facts.commutative and len(operands) == 2:
        operands.sort(key=lambda item: item or 0)
    return (node.op, node.domain, node.overload, tuple(operands))


@dataclass(frozen=True, slots=True, eq=False)
class _Contents:
    """Keys by content.  Elements are read only where two constants of one type and shape could be equal."""

    alike: dict[Hashable, int]
    digests: dict[int, Hashable] = field(default_factory=dict[int, Hashable])

    @classmethod
    def of(cls, graph: Graph) -> _Contents:
        alike: dict[Hashable, int] = {}
        for value in graph.values():
            if value.constant is not None:
                kind = _kind(value.constant)
                alike[kind] = alike.get(kind, 0) + 1
        return cls(alike)

    def key(self, constant: Constant) -> Hashable:
        found = self.digests.get(id(constant))
        if found is None:
            alone = self.alike.get(_kind(constant), 0) < 2
            found = (_kind(constant), id(constant) if alone else _content(constant))
            self.digests[id(constant)] = found
        return found

    def attribute(self, attribute: Attribute) -> Hashable:
        items = attribute.value if isinstance(attribute.value, tuple) else (attribute.value,)
        return (attribute.kind, isinstance(attribute.value, tuple), tuple(self._item(item) for item in items))

    def _item(self, item: object) -> Hashable:
        if isinstance(item, Constant):
            return (_kind(item), _content(item))
        return np.float64(item).tobytes() if isinstance(item, float) else repr(item)


def _kind(constant: Constant) -> Hashable:
    return (constant.dtype, tuple(constant.shape), isinstance(constant, Fill))


def _content(constant: Constant) -> Hashable:
    if isinstance(constant, Fill):
        return constant.element.tobytes()
    elements = constant.array()
    if elements.dtype.hasobject:
        return repr(elements.tolist())
    return hashlib.blake2b(np.ascontiguousarray(elements).reshape(-1).view(np.uint8).data, digest_size=32).digest()
