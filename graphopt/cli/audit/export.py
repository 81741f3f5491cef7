"""`graphopt audit export`: write the log of the embedded chain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step


def export(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the log is written.", show_default=False)
    ],
    sign: Annotated[bool, typer.Option("--sign", help="Sign the log's head as a member.")] = False,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Write the log of the embedded chain: every call that made it, from which anybody rebuilds it to the same head.

    The embedded chain is one operator's ledger without consensus. With --sign you vouch that this is the history that
    you were shown: an operator who shows another one later contradicts your signature. Give the log to the other
    members, who replay and sign it too.

    \b
    Example:
      graphopt audit export -o november.log.json --sign
    """
    from graphopt.cli.audit.signing import sign_head
    from graphopt.cli.output import check_writable
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance.decide.auditing import export as export_log
    from graphopt_governance.home import Home

    check_writable(output)
    home = Home.default(chain)
    with step("reading the ledger"):
        log = export_log(home)
    if sign:
        log = sign_head(log, home, yes=yes)
    log.save(output)
    facts = (
        Entry("chain", "chain", str(log.chain_id)),
        Entry("blocks", "blocks", len(log.calls), Format.COUNT),
        Entry("head", "head", log.head.hex()),
        Entry("signatures", "signatures", len(log.signatures)),
        Entry("log", "written to", str(output)),
    )
    show(Report((Facts("", "Log", facts),)), as_json=as_json)
