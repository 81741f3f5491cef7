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
    from graphopt.cli.fed.ballots import hand_out
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.decide.changes import draft_cancel
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.home import Home

    home, passphrase = Home.default(chain), prompted()
    asked = own_federation(home, passphrase)
    ballot = draft_cancel(asked)
    hand_out(
        ballot, asked, home, passphrase, output or Path("cancel.ballot.json"), execute=execute, yes=yes, as_json=as_json
    )
