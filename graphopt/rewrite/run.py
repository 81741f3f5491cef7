"""Runs passes over a graph and its subgraphs, verified before and after each."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from graphopt.errors import RewriteError
from graphopt.ir import Graph
from graphopt.rewrite.driver import drive
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.report import PassReport, RewriteReport
from graphopt.rewrite.rewriter import Rewriter, Watcher
from graphopt.rewrite.rule import Rule
from graphopt.rewrite.verify import Interface, holds_graphs, problem_of


class Pass(ABC):
    """A named step of a pipeline; a frozen dataclass whose fields are its options."""

    name: ClassVar[str]
    """Kebab-case, for the command line, `skip`, reports and the manifest."""
    after: ClassVar[tuple[str, ...]] = ()
    """Passes that must stand before this one in a pipeline that has them."""
    exactness: ClassVar[Exactness] = Exactness.EXACT
    """The least level at which some rule of the pass applies."""
    refining: ClassVar[frozenset[str]] = frozenset()
    """Rules through which more types may become known: when one applied, types are inferred anew."""

    inside_out: ClassVar[bool] = False
    """Whether subgraphs come before the graph that holds them."""

    @abstractmethod
    def run(self, rewriter: Rewriter, level: Exactness) -> None:
        """Change one graph, through the rewriter, by rules whose exactness is at most the level."""


class RulePass(Pass):
    """A pass that is a list of rules, tried in order until none applies."""

    @abstractmethod
    def rules(self) -> Sequence[Rule]:
        """The rules; the earlier is tried first."""

    def run(self, rewriter: Rewriter, level: Exactness) -> None:
        drive(rewriter, [rule for rule in self.rules() if rule.exactness <= level])


def run_passes(
    graph: Graph,
    passes: Iterable[Pass],
    *,
    level: Exactness = Exactness.REASSOCIATE,
    skip: Sequence[str] = (),
    watcher: Watcher | None = None,
    refine: Callable[[Graph], object] | None = None,
) -> RewriteReport:
    """Run the passes over the graph, in place, and say what they did.

    `skip` names passes or rules to leave out; `watcher` sees each application before it happens; `refine` infers
    types anew after passes that make shapes known.  RewriteError, naming the pass, when it leaves a graph broken.
    """
    report = RewriteReport(level, count_nodes(graph))
    interface = Interface.of(graph)
    _must_be_well(graph, interface, "the reader")
    for step in passes:
        if step.name in skip or step.exactness > level:
            continue
        last = report.passes[-1] if report.passes else PassReport("", 0, report.nodes_before)
        run = PassReport(step.name, last.nodes_after, grown_bytes=last.grown_bytes)
        start = time.perf_counter()
        _run_nested(step, Rewriter(graph, run, watcher=watcher, skip=frozenset(skip)), level)
        if run.applied:
            if refine is not None and any(entry.rule in step.refining for entry in run.applied):
                refine(graph)
            _must_be_well(graph, interface, step.name)
        run.nodes_after = count_nodes(graph) if run.applied else run.nodes_before
        run.seconds = time.perf_counter() - start
        report.passes.append(run)
    report.nodes_after = report.passes[-1].nodes_after if report.passes else report.nodes_before
    return report


def count_nodes(graph: Graph) -> int:
    """Operators in the graph and in all its subgraphs; an operator of our own that was fused from others is one."""
    return sum(
        1 + (0 if node.domain == "ai.graphopt" else sum(map(count_nodes, graph.subgraphs_of(node))))
        for node in graph.nodes()
    )


def _run_nested(step: Pass, rewriter: Rewriter, level: Exactness) -> None:
    if not step.inside_out:
        step.run(rewriter, level)
    for node in [node for node in rewriter.graph.nodes() if holds_graphs(node)]:
        for inner in rewriter.graph.subgraphs_of(node):
            _run_nested(step, rewriter.within(node, inner), level)
    if step.inside_out:
        step.run(rewriter, level)
    rewriter.close()


def _must_be_well(graph: Graph, interface: Interface, who: str) -> None:
    problem = problem_of(graph)
    if problem is None and Interface.of(graph) != interface:
        problem = "its interface changed"
    if problem is not None:
        raise RewriteError(who, graph.name, problem)
