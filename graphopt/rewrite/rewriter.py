"""The rewriter: the only way a rule changes a graph.

Every change has one form, *this value equals that value*.  A rule builds new nodes beside the old ones, says which
values they replace, and returns.  Up to then nothing that anybody uses has changed, so that a check can run both
sides, and taking an application back means removing nodes that nobody uses.  `attempt` then moves the uses, removes
what died, hands provenance on, and tells which nodes deserve another look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from graphopt.errors import RewriteError
from graphopt.ir import Constant, Dense, Graph, Node, Type, Use, Value, size_of
from graphopt.ops.facts import facts_of
from graphopt.rewrite.report import Applied, NotApplied, PassReport, describe
from graphopt.rewrite.rule import Rule
from graphopt.rewrite.verify import holds_graphs


@dataclass(frozen=True, slots=True)
class Application:
    """One application about to happen: both sides stand in `graph`, and `replaced` says what is to equal what."""

    rule: Rule
    graph: Graph
    node: Node
    replaced: tuple[tuple[Value, Value], ...]
    made: tuple[Node, ...]
    constant_of: Callable[[Value], Constant | None]
    """What is known of a value at compile time, captured ones included."""
    opsets: Mapping[str, int]


class Watcher(Protocol):
    """Sees every application before it happens; a check, a bisection, a log."""

    def admit(self, application: Application) -> str | None:
        """None to let it happen, or one sentence that says why it must not (it is then rolled back)."""
        ...


@dataclass(slots=True)
class _Transaction:
    rule: Rule
    node: Node
    made: list[Node] = field(default_factory=list[Node])
    inlined: set[Node] = field(default_factory=set[Node])
    constants: list[Value] = field(default_factory=list[Value])
    replaced: list[tuple[Value, Value]] = field(default_factory=list[tuple[Value, Value]])
    erased: list[Node] = field(default_factory=list[Node])


class Rewriter:
    """Changes one graph on behalf of rules, one `attempt` at a time, and records each in `report`.

    `outer` is the rewriter of the graph that holds this one as a subgraph of `holder`; through it, captured constants
    are constants here too.
    """

    def __init__(
        self,
        graph: Graph,
        report: PassReport,
        *,
        watcher: Watcher | None = None,
        outer: Rewriter | None = None,
        holder: Node | None = None,
        skip: frozenset[str] = frozenset(),
    ) -> None:
        self.graph = graph
        self.report = report
        self._watcher = watcher
        self._outer = outer
        self._holder = holder
        self._skip = skip
        self._now: _Transaction | None = None
        self._declined: dict[tuple[Rule, Node], str] = {}

    # ---- looking --------------------------------------------------------------------------------------

    def constant_of(self, value: Value | None) -> Constant | None:
        """What the value always is, if that is known: a constant of this graph, or one captured from outside."""
        if value is None:
            return None
        if value.constant is not None or self._outer is None or self._holder is None:
            return value.constant
        if value in self.graph.captures:
            return self._outer.constant_of(self._outer.graph.captures_of(self._holder).get(value.name))
        return None

    def within(self, holder: Node, inner: Graph) -> Rewriter:
        """A rewriter for a subgraph of one of this graph's nodes, writing into the same report."""
        return Rewriter(inner, self.report, watcher=self._watcher, outer=self, holder=holder, skip=self._skip)

    @property
    def opsets(self) -> dict[str, int]:
        """The opset version of each domain; a subgraph that imports none of its own has those of its model."""
        outer = {} if self._outer is None else self._outer.opsets
        return {**outer, **self.graph.opsets}

    def version(self, domain: str = "") -> int:
        """The opset version that the model imports for a domain; 0 when it imports none."""
        opsets = self.opsets
        return opsets.get(domain, 0) if domain else opsets.get("", opsets.get("ai.onnx", 0))

    # ---- building, inside a rule ----------------------------------------------------------------------

    def constant(self, elements: Constant | np.ndarray, name: str = "c") -> Value:
        """A constant value; the name is a hint."""
        held = Dense.of(elements) if isinstance(elements, np.ndarray) else elements
        value = self.graph.add_constant(held, name)
        self._transaction.constants.append(value)
        return value

    def node(
        self,
        op: str,
        inputs: Sequence[Value | None],
        *,
        like: Node | None = None,
        attributes: Mapping[str, object] | None = None,
        domain: str = "",
        types: Sequence[Type | None] = (None,),
        captures: Mapping[str, Value] | None = None,
    ) -> tuple[Value, ...]:
        """A new operator; one output for each entry of `types`.

        It takes name, documentation and metadata from `like` (by default the node the rule was tried at).  Where it
        comes from is filled in when the application happens.
        """
        model = like or self._transaction.node
        values = self.graph.add_node(
            op,
            inputs,
            len(types),
            attributes,
            domain=domain,
            name=model.name,
            types=types,
            captures=captures,
        )
        made = self.graph.producer(values[0])
        assert made is not None
        made.doc, made.metadata = model.doc, dict(model.metadata)
        self._transaction.made.append(made)
        return values

    def inline(self, body: Graph, inputs: Sequence[Value], captures: Mapping[str, Value]) -> tuple[Value, ...]:
        """A copy of a subgraph's nodes in this graph; gives the values that stand for its outputs."""
        inner = body.copy()
        new: dict[Value, Value] = dict(zip(inner.inputs, inputs, strict=True))
        new |= {value: captures[value.name] for value in inner.captures}
        for value in inner.values():
            if value.constant is not None:
                new[value] = self.constant(value.constant, value.name)
        for node in inner.sorted_nodes():
            self._take_over(inner, node, new)
        return tuple(new[value] for value in inner.outputs)

    def replace(self, old: Value, new: Value) -> None:
        """Let every use of `old` become a use of `new` when the rule has returned; they are equal by the rule's law."""
        if old is not new:
            self._transaction.replaced.append((old, new))

    def erase(self, node: Node) -> None:
        """Remove a node whose outputs nobody uses, when the rule has returned."""
        self._transaction.erased.append(node)

    # ---- deciding, outside a rule ---------------------------------------------------------------------

    def attempt(self, rule: Rule, node: Node) -> list[Node] | None:
        """Try the rule at the node; None when nothing changed, else the nodes that deserve another look.

        RewriteError when a rule declines after it said what to replace.
        """
        if rule.name in self._skip:
            return None
        self._now = now = _Transaction(rule, node)
        try:
            declined = rule.rewrite(node, self)
        finally:
            self._now = None
        asked = bool(now.replaced or now.erased)
        now.replaced = [(old, new) for old, new in now.replaced if self.graph.users_of(old)]
        if not now.replaced and not now.erased:  # nothing said, or of values that nobody uses
            self._take_back(now)
            if declined is not None and not asked:
                self._declined[rule, node] = declined.reason
            return None
        if declined is not None:
            raise RewriteError(rule.name, self.graph.name, f"it declined ({declined.reason}) after replacing a value")
        refusal = self._refusal(now)
        if refusal is not None:
            self._take_back(now)
            self.report.refused.append(NotApplied(rule.name, self.graph.name, describe(self.graph, node), refusal))
            return None
        self._declined.pop((rule, node), None)
        return self._commit(now)

    def sweep(self, rule: Rule) -> None:
        """Remove the constants and captures that nobody uses, as one application of the rule."""
        captured = frozenset(self.graph.captures)
        unused = [
            v for v in self.graph.values() if not self.graph.users_of(v) and (v.constant is not None or v in captured)
        ]
        stale: list[tuple[Node, str]] = []
        for node in [node for node in self.graph.nodes() if holds_graphs(node)]:
            wanted = {value.name for inner in self.graph.subgraphs_of(node) for value in inner.captures}
            stale += [(node, key) for key in self.graph.captures_of(node) if key not in wanted]
        for node, key in stale:
            self.graph.set_input(node, key, None)
        for value in unused:
            self._drop_constant(value)
        if unused or stale:
            removed = (*(value.name for value in unused), *(key for _, key in stale))
            self.report.applied.append(Applied(rule.name, self.graph.name, "", removed, (), rule.exactness))

    def close(self) -> None:
        """Put the reasons of rules that declined, at nodes that are still there, into the report."""
        for (rule, node), reason in self._declined.items():
            if node in self.graph.net:
                self.report.declined.append(NotApplied(rule.name, self.graph.name, describe(self.graph, node), reason))

    @property
    def _transaction(self) -> _Transaction:
        if self._now is None:
            raise RuntimeError("a graph is changed inside a rule's `rewrite` only")
        return self._now

    def _take_over(self, inner: Graph, node: Node, new: dict[Value, Value]) -> None:
        outputs = inner.outputs_of(node)
        made = self.graph.add_node(
            node.op,
            [None if value is None else new[value] for value in inner.inputs_of(node)],
            [None if value is None else value.name for value in outputs],
            node.attributes,
            domain=node.domain,
            name=node.name,
            captures={key: new[value] for key, value in inner.captures_of(node).items()},
            source=node.source,
            rules=node.rules,
        )
        kept = [value for value in outputs if value is not None]
        for old, value in zip(kept, made, strict=True):
            value.type, value.doc, value.metadata = old.type, old.doc, dict(old.metadata)
            new[old] = value
        if not made:
            raise RewriteError(self._transaction.rule.name, self.graph.name, f"{node} has no outputs to inline")
        twin = self.graph.producer(made[0])
        assert twin is not None
        twin.overload, twin.doc, twin.metadata = node.overload, node.doc, dict(node.metadata)
        self._transaction.made.append(twin)
        self._transaction.inlined.add(twin)

    def _refusal(self, now: _Transaction) -> str | None:
        if self._watcher is None or not now.replaced:
            return None
        both = (tuple(now.replaced), tuple(now.made))
        return self._watcher.admit(Application(now.rule, self.graph, now.node, *both, self.constant_of, self.opsets))

    def _take_back(self, now: _Transaction) -> None:
        for node in reversed(now.made):
            self.graph.remove_node(node)
        for value in now.constants:
            self.graph.remove_value(value)

    def _commit(self, now: _Transaction) -> list[Node]:
        look: dict[Node, None] = dict.fromkeys(now.made)
        dying = list(now.erased)
        for old, new in now.replaced:
            moved = self.graph.replace_uses(old, new)
            look |= dict.fromkeys(_still_here(self.graph, moved))
            if new.type is None:
                new.type = old.type
            producer = self.graph.producer(old)
            if producer is not None:
                dying.append(producer)
            elif old.constant is not None:
                self._drop_constant(old)
        removed: list[tuple[Node, str]] = []
        for node in reversed(now.made):
            if is_unused(self.graph, node):  # built, and then not needed
                self.graph.remove_node(node)
        for value in now.constants:
            if not self.graph.users_of(value):
                self.graph.remove_value(value)
            elif value.constant is not None:
                self.report.grown_bytes += size_of(value.constant)
        names = {id(value): value.name for value, _ in now.replaced}
        self._remove(dying, removed, look)
        self._hand_on(now, [node for node, _ in removed])
        for old, new in now.replaced:
            producer = self.graph.producer(new)
            if old not in self.graph.net and producer in now.made:
                self._rename(new, names[id(old)])
        self.report.applied.append(
            Applied(
                now.rule.name,
                self.graph.name,
                next((name for node, name in removed if node is now.node), None) or describe(self.graph, now.node),
                tuple(name for _, name in removed),
                tuple(describe(self.graph, node) for node in now.made if node in self.graph.net),
                now.rule.exactness,
            )
        )
        return [node for node in look if node in self.graph.net]

    def _remove(self, dying: list[Node], removed: list[tuple[Node, str]], look: dict[Node, None]) -> None:
        """Remove the nodes that nobody uses any more, and what only they used."""
        asked = set(dying)
        while dying:
            node = dying.pop()
            if node not in self.graph.net or not is_unused(self.graph, node):
                continue
            if node not in asked and facts_of(node.op, node.domain) is None:
                continue  # what the compiler does not know it keeps
            name = describe(self.graph, node)
            operands = dict.fromkeys(self.graph.operands_of(node))
            self.graph.remove_node(node)
            removed.append((node, name))
            for value in operands:
                producer = self.graph.producer(value)
                if producer is not None:
                    dying.append(producer)
                    look[producer] = None
                elif value.constant is not None and not self.graph.users_of(value):
                    self._drop_constant(value)
                users = self.graph.users_of(value) if value in self.graph.net else ()
                if len(users) == 1:  # a value with one user left may match what asks for a single use
                    look |= dict.fromkeys(user for user in users if user is not self.graph.sink)

    def _drop_constant(self, value: Value) -> None:
        if value.constant is not None:
            self.report.grown_bytes -= size_of(value.constant)
        self.graph.remove_value(value)

    def _hand_on(self, now: _Transaction, removed: list[Node]) -> None:
        """Let what was made say which source nodes it stands for, and by which rules."""
        source = _in_order(
            name for node in removed[::-1] for name in node.source or ((node.name,) if node.name else ())
        )
        rules = _in_order(rule for node in removed[::-1] for rule in node.rules)
        for node in now.made:
            if node in now.inlined:
                node.rules = (*node.rules, now.rule.name)
                continue
            node.source = source or now.node.source
            node.rules = _in_order((*rules, now.rule.name))
            for old in removed:
                node.metadata = {**old.metadata, **node.metadata}
                node.doc = node.doc or old.doc
        for old, new in now.replaced:
            producer = self.graph.producer(new)
            if producer is None or producer in now.made or old in self.graph.net:
                continue
            if (producer.op, producer.domain) == (now.node.op, now.node.domain):  # two of a kind became one
                producer.source = _in_order((*producer.source, *source))
                producer.rules = _in_order((*producer.rules, now.rule.name))

    def _rename(self, value: Value, name: str) -> None:
        if self.graph.is_free(name):
            self.graph.rename_value(value, name)


def is_unused(graph: Graph, node: Node) -> bool:
    """Whether nobody uses any output of the node."""
    return not any(value is not None and graph.users_of(value) for value in graph.outputs_of(node))


def _still_here(graph: Graph, uses: Iterable[Use]) -> Iterable[Node]:
    return (use.node for use in uses if use.node is not graph.sink)


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
