"""How a command tells what a member's action came to: a block, or a ballot for the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.report.content import Entry, Facts, Format

if TYPE_CHECKING:
    from graphopt_governance.decide.acting import Acted

BundleOrDigest = Annotated[
    str,
    typer.Argument(metavar="BUNDLE", help="The bundle's folder, or its digest in hexadecimal.", show_default=False),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; at most 32 bytes, on the chain word for word.")
]
BallotOutput = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="BALLOT",
        help="Where several must sign: the ballot to write, for them.",
        show_default=False,
    ),
]


def describe_acted(acted: Acted, title: str) -> Facts:
    """The facts of an action, under a title that says what was done where it was done."""
    entries = (
        Entry("what", "what", acted.what),
        Entry("digest", "digest", acted.digest),
        Entry("block", "block", acted.block, Format.COUNT),
        Entry("time", "block time", acted.time, Format.TIME),
        Entry("ballot", "for the others to sign", acted.ballot),
        Entry("missing", "signatures missing", acted.missing, Format.COUNT),
    )
    return Facts("", title if acted.ballot is None else "Signed, not done yet", entries)
