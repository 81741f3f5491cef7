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
    from graphopt.cli.fed.ballots import hand_out
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.decide.changes import draft_removal
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.home import Home

    home, passphrase = Home.default(chain), prompted()
    asked = own_federation(home, passphrase)
    ballot = draft_removal(asked, number)
    hand_out(
        ballot,
        asked,
        home,
        passphrase,
        output or Path(f"remove-{number}.ballot.json"),
        execute=execute,
        yes=yes,
        as_json=as_json,
    )
