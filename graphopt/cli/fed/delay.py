"""`graphopt fed delay`: draft a change of how long changes that give power wait."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.ballots import BallotOutput, ExecuteOption
from graphopt.cli.options import AsJson, ChainOption


def delay(
    length: Annotated[
        str, typer.Argument(metavar="TIME", help="Seconds, or 15m, 12h, 1d; at most 30d.", show_default=False)
    ],
    output: BallotOutput = None,
    execute: ExecuteOption = False,
    chain: ChainOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Draft a ballot that changes how long changes of the federation wait once they are approved.

    While one waits, the members can cancel it (`fed cancel`). Admitting and changing members, the quorum and the delay
    itself wait; removing and cancelling do not.

    \b
    Example:
      graphopt fed delay 1d
    """
    from graphopt.cli.fed.ballots import draft
    from graphopt.cli.fed.options import seconds_of
    from graphopt_governance.decide.changes import draft_delay

    seconds = seconds_of(length)
    path = output or Path(f"delay-{seconds}.ballot.json")
    draft(lambda asked: draft_delay(asked, seconds), path, chain=chain, execute=execute, yes=yes, as_json=as_json)
