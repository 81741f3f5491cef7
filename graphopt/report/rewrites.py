"""What the rewrites did, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphopt.report.content import Cell, Column, Format, Section, Table

if TYPE_CHECKING:
    from graphopt.rewrite import RewriteReport

LONGEST = 40


def describe_rewrites(report: RewriteReport) -> tuple[Section, ...]:
    """Three tables: how often each rewrite applied, what each pass did, and what nearly applied and why not."""
    exactness = {entry.rule: str(entry.exactness) for entry in report.applied}
    rules: list[tuple[Cell, ...]] = [(rule, exactness[rule], count) for rule, count in report.counts.items()]
    passes: list[tuple[Cell, ...]] = [
        (run.name, run.nodes_before, run.nodes_after, len(run.applied), run.seconds) for run in report.passes
    ]
    declined: list[tuple[Cell, ...]] = [
        (entry.rule, entry.node, entry.reason) for entry in (*report.refused, *report.declined)
    ]
    return (
        Table(
            "rewrites",
            "Rewrites",
            (Column("name", "rewrite"), Column("exactness", "exactness"), Column("count", "applied", Format.COUNT)),
            tuple(rules),
        ),
        Table(
            "passes",
            "Passes",
            (
                Column("name", "pass"),
                Column("nodes_before", "nodes before", Format.COUNT),
                Column("nodes_after", "nodes after", Format.COUNT),
                Column("applied", "applied", Format.COUNT),
                Column("seconds", "time", Format.SECONDS),
            ),
            tuple(passes),
        ),
        Table(
            "declined",
            "Nearly applied",
            (Column("name", "rewrite"), Column("node", "node"), Column("reason", "why not")),
            tuple(declined),
            most=LONGEST,
        ),
    )
