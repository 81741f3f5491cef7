"""`graphopt fed quorum`: draft a change of how many approvals are needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.ballots import BallotOutput, ExecuteOption
from graphopt.cli.options import AsJson, ChainOption


def quorum(
    approvals: Annotated[
        int, typer.Argument(metavar="K", help="How many approvals a decision is to take.", show_default=False)
    ],
    output: BallotOutput = None,
    execute: ExecuteOption = False,
    chain: ChainOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Draft a ballot that changes how many approvals a decision takes.

    \b
    Example:
      graphopt fed quorum 3
    """
    from graphopt.cli.fed.ballots import draft
    from graphopt_governance.decide.changes import draft_quorum

    path = output or Path(f"quorum-{approvals}.ballot.json")
    draft(lambda asked: draft_quorum(asked, approvals), path, chain=chain, execute=execute, yes=yes, as_json=as_json)
