"""`graphopt fed member remove`: draft the removal of a member."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.ballots import BallotOutput, ExecuteOption
from graphopt.cli.options import AsJson, ChainOption


def member_remove(
    number: Annotated[int, typer.Argument(metavar="N", help="The member's number (`fed status`).", show_default=False)],
    output: BallotOutput = None,
    execute: ExecuteOption = False,
    chain: ChainOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Draft a ballot that removes a member, at once: it waits for no delay, and no change of rules voids it.

    \b
    Example:
      graphopt fed member remove 3
    """
    from graphopt.cli.fed.ballots import draft
    from graphopt_governance.decide.changes import draft_removal

    path = output or Path(f"remove-{number}.ballot.json")
    draft(lambda asked: draft_removal(asked, number), path, chain=chain, execute=execute, yes=yes, as_json=as_json)
