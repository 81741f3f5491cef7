"""`graphopt fed member change`: draft a change of a member's rights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.ballots import BallotOutput, ExecuteOption
from graphopt.cli.options import AsJson, ChainOption


def member_change(
    number: Annotated[int, typer.Argument(metavar="N", help="The member's number (`fed status`).", show_default=False)],
    rights: Annotated[
        str,
        typer.Option(
            "--rights",
            metavar="LIST",
            help="The new rights: of propose, approve, revoke, report, decrypt, with commas between them; all; none.",
            show_default=False,
        ),
    ],
    output: BallotOutput = None,
    execute: ExecuteOption = False,
    chain: ChainOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Draft a ballot that gives a member other rights; his keys stay.

    \b
    Example:
      graphopt fed member change 3 --rights propose,report
    """
    from graphopt.cli.fed.ballots import draft
    from graphopt.cli.fed.options import rights_of
    from graphopt_governance.decide.changes import draft_rights

    new = rights_of(rights)
    path = output or Path(f"change-{number}.ballot.json")
    draft(lambda asked: draft_rights(asked, number, new), path, chain=chain, execute=execute, yes=yes, as_json=as_json)
