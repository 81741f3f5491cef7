"""`graphopt seal`: a bundle in one file that only chosen members can open."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step


def seal(
    path: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help="The bundle, or a sealed file to seal again.", show_default=False)
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="X.age", help="The file to write.", show_default=False)
    ],
    to: Annotated[
        list[int] | None,
        typer.Option("--to", metavar="N", help="Seal for this member alone; may be repeated.", show_default=False),
    ] = None,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Put a bundle into one file that only chosen members can open.

    It is encrypted to every member of the federation who may decrypt and has a sealing key, in the format of age: the
    `age` tool opens it too, and inside is a tar file. Only a bundle that is whole is sealed; no key is needed.

    Given a sealed file, it is opened with this member's key and sealed again for the members of today. Whoever has
    opened a file keeps what was in it, and keeps the old file: sealing again takes nothing back.

    \b
    Examples:
      graphopt seal model.bundle -o model.age
      graphopt seal model.bundle -o model.age --to 2 --to 3
      graphopt seal model.age -o model.today.age
    """
    from graphopt.cli.failure import warn
    from graphopt.cli.members import members_table
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance.home import Home
    from graphopt_governance.share import sharing

    home = Home.default(chain)
    with step(f"sealing {path}"):
        sealed = sharing.seal_path(path, output, to=to or (), home=home, passphrase=prompted())
    for sentence in sealed.left_out:
        warn(f"left out: {sentence}")
    facts = (
        Entry("file", "file", sealed.file),
        Entry("digest", "digest", sealed.digest),
        Entry("epoch", "epoch", sealed.epoch, Format.COUNT),
        Entry("bytes", "size", sealed.nbytes, Format.BYTES),
    )
    show(Report((Facts("", "Sealed", facts), members_table(sealed.members, home))), as_json=as_json)
