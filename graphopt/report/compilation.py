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
            *(Entry("note", "note", note) for note in report.notes),
        ),
    )
    seconds: list[tuple[Cell, ...]] = list(report.seconds.items())
    columns = (Column("phase", "phase"), Column("seconds", "time", Format.SECONDS))
    return Report((facts, *describe_bundle(manifest), Table("seconds", "Time", columns, tuple(seconds))))


def describe_fetched(
    title: str, manifest: Manifest, *, store: str, sealed: bool, seconds: float, compiling: float | None
) -> Report:
    """What was taken from the federation instead of compiled, what that saved, and what the manifest records.

    `compiling`: how long it took where it was made, by the word of whoever published it.
    """
    sections = describe_bundle(manifest)
    build = manifest.predicate
    native = [counts["native"] for counts in build["program"].values()]
    seeds = build["evidence"].get("seeds")
    facts = Facts(
        "",
        title,
        (
            Entry("from_federation", "from the federation", True),
            Entry("store", "fetched from", store),
            Entry("sealed", "was sealed", sealed),
            Entry("seconds_here", "time here", seconds, Format.SECONDS),
            Entry("seconds_there", "compiling, by the publisher's word", compiling, Format.SECONDS),
            Entry("rewrites_saved", "rewrites saved", sum(entry["count"] for entry in build["rewrites"]), Format.COUNT),
            Entry("native_calls_saved", "native calls saved", max(native, default=None), Format.COUNT),
            Entry("seeds_saved", "checks saved", len(seeds) if isinstance(seeds, list) else 0, Format.COUNT),
        ),
    )
    return Report((facts, *sections))
