"""What the rewrites did: a record for people, for the manifest, and for `explain`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from graphopt.ir import Graph, Node
from graphopt.rewrite.exactness import Exactness


@dataclass(frozen=True, slots=True)
class Applied:
    """One application of a rule."""

    rule: str
    graph: str
    """The name of the graph it happened in (a subgraph's own name inside If, Loop and Scan)."""
    node: str
    """The node at which the rule was tried, as `describe` shows it."""
    removed: tuple[str, ...]
    made: tuple[str, ...]
    exactness: Exactness


@dataclass(frozen=True, slots=True)
class NotApplied:
    """A rule that found its shape and declined, or whose application failed its check and was taken back."""

    rule: str
    graph: str
    node: str
    reason: str


@dataclass(slots=True)
class PassReport:
    """What one run of one pass did."""

    name: str
    nodes_before: int
    nodes_after: int = 0
    seconds: float = 0.0
    applied: list[Applied] = field(default_factory=list[Applied])
    declined: list[NotApplied] = field(default_factory=list[NotApplied])
    refused: list[NotApplied] = field(default_factory=list[NotApplied])
    """Applications that a check found wrong; each was rolled back."""
    grown_bytes: int = 0
    """Bytes of constants made less bytes of constants dropped, since the pipeline began."""


@dataclass(slots=True)
class RewriteReport:
    """What a whole pipeline did to a graph, pass by pass, in order."""

    level: Exactness
    nodes_before: int
    nodes_after: int = 0
    passes: list[PassReport] = field(default_factory=list[PassReport])

    @property
    def applied(self) -> list[Applied]:
        """Every application, in the order in which it happened."""
        return [entry for run in self.passes for entry in run.applied]

    @property
    def declined(self) -> list[NotApplied]:
        """Every reason of the last run of each pass: an earlier run's reasons may have gone since."""
        last = {run.name: run for run in self.passes}
        return [entry for run in last.values() for entry in run.declined]

    @property
    def refused(self) -> list[NotApplied]:
        """Every application that was rolled back because its check failed."""
        return [entry for run in self.passes for entry in run.refused]

    @property
    def counts(self) -> dict[str, int]:
        """How often each rule applied, in order of first application."""
        return dict(Counter(entry.rule for entry in self.applied))

    @property
    def seconds(self) -> float:
        """Wall time of all passes together."""
        return sum(run.seconds for run in self.passes)

    def to_json(self, *, times: bool = True) -> dict[str, Any]:
        """Plain data for `--json` and the manifest; `times=False` leaves out what differs from run to run."""
        return {
            "level": str(self.level),
            "nodes_before": self.nodes_before,
            "nodes_after": self.nodes_after,
            "grown_bytes": self.passes[-1].grown_bytes if self.passes else 0,
            "rules": self.counts,
            "passes": [_pass_json(run, times) for run in self.passes],
        }


def describe(graph: Graph, node: Node) -> str:
    """A node as people know it: its name, else the operator with its first output."""
    if node.name:
        return node.name
    first = next((value.name for value in graph.outputs_of(node) if value is not None), "")
    return f"{node.qualified_op}→{first}"


def _pass_json(run: PassReport, times: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": run.name,
        "nodes_before": run.nodes_before,
        "nodes_after": run.nodes_after,
        "applied": [
            {
                "rule": entry.rule,
                "exactness": str(entry.exactness),
                "graph": entry.graph,
                "node": entry.node,
                "removed": list(entry.removed),
                "made": list(entry.made),
            }
            for entry in run.applied
        ],
        "declined": [_not_applied_json(entry) for entry in run.declined],
        "refused": [_not_applied_json(entry) for entry in run.refused],
    }
    if times:
        data["seconds"] = run.seconds
    return data


def _not_applied_json(entry: NotApplied) -> dict[str, str]:
    return {"rule": entry.rule, "graph": entry.graph, "node": entry.node, "reason": entry.reason}
