"""What compiling a model did, for the person who waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphopt.report.bundle import describe_bundle
from graphopt.report.content import Cell, Column, Entry, Facts, Format, Report, Table

if TYPE_CHECKING:
    from graphopt.bundle import Manifest
    from graphopt.compiler.report import CompileReport


def describe_compilation(title: str, report: CompileReport, manifest: Manifest) -> Report:
    """The outcome, what the manifest records, and where the time went."""
    counts = report.counts[report.target]
    calls = counts.steps - counts.alias - counts.settled
    facts = Facts(
        "",
        title,
        (
            Entry("nodes_before", "nodes before", report.nodes_before, Format.COUNT),
            Entry("nodes_after", "nodes after", report.nodes_after, Format.COUNT),
            Entry("calls", "calls", calls, Format.COUNT),
            Entry("native_calls", "native", counts.native, Format.COUNT),
            Entry("calls_not_native", "not native", calls - counts.native, Format.COUNT),
        ),
    )
    seconds: list[tuple[Cell, ...]] = list(report.seconds.items())
    columns = (Column("phase", "phase"), Column("seconds", "time", Format.SECONDS))
    return Report((facts, *describe_bundle(manifest), Table("seconds", "Time", columns, tuple(seconds))))
