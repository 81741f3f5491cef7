"""The check of single applications of rewrites, in the place where the rewriter asks: just before each happens.

Both sides stand in the graph, so the region is cut out of it.  It starts as small as it can be: what the rewrite made,
and as much of what it replaces as both sides need to share their inputs.  A value on the border is free: it takes
adversarial values of its type.  Equal on free values is equal.  Where the sides differ, the border may have hidden what
makes them equal (a shape that is known, a sign), so it is moved outwards; a difference counts when it cannot move.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphopt.check.differential import CheckReport, check_application
from graphopt.errors import GraphoptError
from graphopt.ir.constant import Constant
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType

if TYPE_CHECKING:
    from graphopt.rewrite.rewriter import Application

_LARGE = 2_000_000
"""Elements of constants and inputs above which a region is tried on fewer inputs."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The check of one application."""

    rule: str
    node: str
    passed: bool | None
    """None when nothing could be said, because a type is not known or an operator has no meaning."""
    detail: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"rule": self.rule, "node": self.node, "passed": self.passed, "detail": self.detail}


@dataclass(slots=True)
class ApplicationCheck:
    """A `Watcher` that refuses applications that are wrong on adversarial values.

    `checked` is the record.  An application about which nothing can be said is let through and recorded as such.
    """

    bound: float = 0.0
    """What approximate rewrites may be off by, relative to the largest element."""
    trials: int = 4
    reach: int = 24
    """The most nodes a region may have."""
    checked: list[Checked] = field(default_factory=list[Checked])

    def admit(self, application: Application) -> str | None:
        """None to let the application happen, or one sentence that says how the two sides differ."""
        report = self._report(application)
        node = application.node.name or application.node.qualified_op
        if isinstance(report, str):
            self.checked.append(Checked(application.rule.name, node, None, report))
            return None
        self.checked.append(Checked(application.rule.name, node, report.passed, str(report)))
        return None if report.passed else f"the two sides differ: {report}"

    def _report(self, application: Application) -> CheckReport | str:
        if not application.graph.opsets:
            return "a subgraph does not say which opsets it is in"
        level = application.rule.exactness
        region = _Region(application)
        found: CheckReport | str = "its types are not known"
        while True:
            sides = region.sides()
            if sides is not None:
                try:
                    report = check_application(*sides, level, bound=self.bound, trials=self._trials(sides[0]))
                except GraphoptError as error:
                    return str(error)
                if report.passed:
                    return report
                found = report if report.trials or report.failures else str(report)
            if not region.widen() or region.size > self.reach:
                return found

    def _trials(self, side: Graph) -> int:
        sizes = [v.type.static_shape or () for v in side.values() if isinstance(v.type, TensorType)]
        count = 0
        for shape in sizes:
            size = 1
            for dim in shape:
                size *= dim
            count += size
        return 1 if count > _LARGE else self.trials


class _Region:
    """What computes the replaced values and their replacements, down to a border of free values."""

    def __init__(self, application: Application) -> None:
        self._graph = application.graph
        self._constant_of = application.constant_of
        self._pairs = application.replaced
        self._rank = {node: i for i, node in enumerate(self._graph.sorted_nodes())}
        self._inside: set[Node] = set(application.made)
        for old, _ in self._pairs:
            self._take(self._graph.producer(old))
        self._match()

    @property
    def size(self) -> int:
        """How many nodes it has."""
        return len(self._inside)

    def sides(self) -> tuple[Graph, Graph] | None:
        """The region as two graphs with the same inputs: the replaced values, their replacements; None if untyped."""
        old, new = [pair[0] for pair in self._pairs], [pair[1] for pair in self._pairs]
        border = self._border([*old, *new])
        if any(not _is_typed(value) for value in border):
            return None
        return self._cut(border, old), self._cut(border, new)

    def widen(self) -> bool:
        """Move the border outwards by one operator everywhere; False when it cannot move."""
        border = self._border([value for pair in self._pairs for value in pair])
        before = len(self._inside)
        for value in border:
            self._take(self._graph.producer(value))
        self._match()
        return len(self._inside) > before

    def _take(self, node: Node | None) -> None:
        if node is not None:
            self._inside.add(node)

    def _match(self) -> None:
        """Take in nodes until all that the new side reads is read by the old side too."""
        while True:
            old = set(self._border([pair[0] for pair in self._pairs]))
            new = self._border([pair[1] for pair in self._pairs])
            apart = [v for v in new if v not in old and self._graph.producer(v) is not None]
            apart += [v for v in old if v not in new and self._graph.producer(v) is not None] if apart else []
            if not apart or len(self._inside) > 64:
                return
            self._take(max((n for v in apart if (n := self._graph.producer(v))), key=lambda n: self._rank[n]))

    def _walk(self, roots: Iterable[Value]) -> tuple[list[Node], list[Value]]:
        """The inside nodes that the roots need, producers first, and the values on the border."""
        nodes: set[Node] = set()
        border: dict[Value, None] = {}
        todo = list(roots)
        while todo:
            value = todo.pop()
            node = self._graph.producer(value)
            if node is not None and node in self._inside:
                if node not in nodes:
                    nodes.add(node)
                    todo += [v for v in self._graph.inputs_of(node) if v is not None]
                    todo += self._graph.captures_of(node).values()
            elif self._constant_of(value) is None:
                border[value] = None
        return sorted(nodes, key=lambda n: self._rank[n]), list(border)

    def _border(self, roots: Iterable[Value]) -> list[Value]:
        return self._walk(roots)[1]

    def _cut(self, border: list[Value], roots: list[Value]) -> Graph:
        side = Graph("region", self._graph.opsets)
        twin: dict[Value, Value] = {v: side.add_input(f"in{i}", v.type) for i, v in enumerate(border)}

        def there(value: Value) -> Value:
            if value not in twin:
                constant = self._constant_of(value)
                assert isinstance(constant, Constant)
                twin[value] = side.add_constant(constant)
            return twin[value]

        for node in self._walk(roots)[0]:
            outputs = self._graph.outputs_of(node)
            made = side.add_node(
                node.op,
                [None if v is None else there(v) for v in self._graph.inputs_of(node)],
                [None if v is None else v.name for v in outputs],
                node.attributes,
                domain=node.domain,
                captures={k: there(v) for k, v in self._graph.captures_of(node).items()},
            )
            kept = [v for v in outputs if v is not None]
            for value, copy in zip(kept, made, strict=True):
                copy.type = value.type
                twin[value] = copy
        for i, value in enumerate(roots):
            side.add_output(there(value), f"out{i}")
        return side


def _is_typed(value: Value) -> bool:
    return not isinstance(value.type, TensorType) or (value.type.dtype is not None and value.type.shape is not None)
