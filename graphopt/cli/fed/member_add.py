"""`graphopt fed member add`: draft the admission of a member."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.ballots import BallotOutput, ExecuteOption
from graphopt.cli.fed.options import RightsOption
from graphopt.cli.options import AsJson, ChainOption


def member_add(
    card: Annotated[Path, typer.Argument(metavar="CARD", help="The card of who is to join.", show_default=False)],
    rights: RightsOption = None,
    output: BallotOutput = None,
    execute: ExecuteOption = False,
    chain: ChainOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Draft a ballot that admits a member.

    The card is checked first: whoever made it has the keys that it shows, and none of them is or was a member's. He
    gets the rights that he asks for on it, or --rights.

    \b
    Examples:
      graphopt fed member add south.card.json -o south.ballot.json
      graphopt fed member add south.card.json --rights propose,report --execute
    """
    from graphopt.cli.fed.ballots import hand_out
    from graphopt.cli.fed.options import rights_of
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.decide.changes import draft_admission
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.exchange.cards import Card
    from graphopt_governance.exchange.names import Names
    from graphopt_governance.home import Home

    home, passphrase = Home.default(chain), prompted()
    asked = own_federation(home, passphrase)
    shown = Card.load(card)
    ballot = draft_admission(asked, shown, None if rights is None else rights_of(rights))
    Names.of(home).with_cards([shown]).keep(home)
    hand_out(
        ballot,
        asked,
        home,
        passphrase,
        output or Path(f"add-{shown.name}.ballot.json"),
        execute=execute,
        yes=yes,
        as_json=as_json,
    )
