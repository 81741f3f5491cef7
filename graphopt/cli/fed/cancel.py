"""`graphopt fed cancel`: draft the end of everything that waits."""

from __future__ import annotations

from pathlib import Path

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.ballots import BallotOutput, ExecuteOption
from graphopt.cli.options import AsJson, ChainOption


def cancel(
    output: BallotOutput = None,
    execute: ExecuteOption = False,
    chain: ChainOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Draft a ballot that voids every change that waits for its delay, and every signature that was given so far.

    Ballots that remove a member stay valid.

    \b
    Example:
      graphopt fed cancel
    """
    from graphopt.cli.fed.ballots import draft
    from graphopt_governance.decide.changes import draft_cancel

    path = output or Path("cancel.ballot.json")
    draft(draft_cancel, path, chain=chain, execute=execute, yes=yes, as_json=as_json)
