"""`graphopt open`: a sealed bundle opened, and checked before it gets its place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.gate import chosen_gate
from graphopt.cli.options import AsJson, ChainOption, NoGateOption
from graphopt.cli.progress import step


def open_sealed(
    file: Annotated[Path, typer.Argument(metavar="X.age", help="The sealed bundle.", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="BUNDLE", help="The folder to write.", show_default=False)
    ],
    no_gate: NoGateOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Open a sealed bundle with this member's key.

    A sealed file does not say who made it. So the federation is asked about its manifest, and every byte is held
    against it, before the bundle gets its place; otherwise nothing is left behind. An existing bundle of that name is
    replaced, anything else is left alone. Keys that were rotated out are tried too.

    \b
    Example:
      graphopt open model.age -o model.bundle
    """
    from graphopt.cli.failure import warn
    from graphopt.cli.members import members_table
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance.home import Home
    from graphopt_governance.share import sharing

    gate = chosen_gate(no_gate=no_gate, chain=chain)
    home = Home.default(chain)
    with step(f"opening {file}"):
        opened = sharing.open_path(file, output, gate, home=home, passphrase=prompted())
    if opened.remark:
        warn(opened.remark)
    facts = (
        Entry("bundle", "bundle", opened.bundle),
        Entry("digest", "digest", opened.digest),
        Entry("epoch", "sealed under epoch", opened.epoch, Format.COUNT),
        Entry("remark", "remark", opened.remark or None),
    )
    members = members_table(opened.members, home if opened.here else None)
    show(Report((Facts("", "Opened", facts), members)), as_json=as_json)
