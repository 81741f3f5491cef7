"""`graphopt fed init`: found a federation of several organisations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.options import LedgerOption, RightsOption
from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step


def init(
    member: Annotated[
        list[Path] | None,
        typer.Option("--member", metavar="CARD", help="The card of another member; once for each.", show_default=False),
    ] = None,
    quorum: Annotated[
        int | None,
        typer.Option(
            "--quorum",
            metavar="K",
            help="How many approvals a decision takes; a majority when left out.",
            show_default=False,
        ),
    ] = None,
    delay: Annotated[
        str,
        typer.Option("--delay", metavar="TIME", help="How long changes that give power wait: 3600, 12h, 1d."),
    ] = "0",
    name: Annotated[
        str | None,
        typer.Option("--name", help="What the others call you; your home's folder when left out.", show_default=False),
    ] = None,
    rights: RightsOption = None,
    ledger: LedgerOption = None,
    chain: ChainOption = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the invitation for the others is written.")
    ] = Path("invitation.json"),
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Found a federation: you are member 1, the others are those whose cards you give, in that order.

    Every card is checked: whoever made it has the keys that it shows. What is to be founded is shown decoded first.
    Without --chain it is founded on the embedded chain, in a file in your home, or at --ledger; with --chain its
    contract is deployed there, and your member key's account pays.

    \b
    Examples:
      graphopt fed init --member east.card.json --member west.card.json --quorum 2
      graphopt fed init --member east.card.json --delay 1d --chain https://node.example.org
    """
    from graphopt.cli.consent import consent
    from graphopt.cli.fed.options import rights_of, seconds_of
    from graphopt.cli.fed.status import describe_standing
    from graphopt.cli.output import check_writable
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Entry, Facts, Report, show
    from graphopt_governance.decide.founding import Charter, found_federation, invitation_to, require_none
    from graphopt_governance.decide.governing import standing
    from graphopt_governance.exchange.cards import Card, make_card
    from graphopt_governance.exchange.names import Names
    from graphopt_governance.home import Home

    home, passphrase = Home.default(chain), prompted()
    check_writable(output)
    require_none(home, ledger)
    others = [Card.load(path) for path in member or []]
    own = make_card(home, name, rights_of(rights if rights is not None else "all"), passphrase)
    cards = (own, *others)
    charter = Charter(cards, len(cards) // 2 + 1 if quorum is None else quorum, seconds_of(delay))
    charter.check()
    consent(charter.describe(), yes=yes, question="Found it?", otherwise="nothing was founded")
    with step("founding the federation"):
        founded = found_federation(home, charter, ledger, passphrase)
    invitation_to(home).save(output)
    facts = (
        Entry("chain", "chain", str(founded.domain.chain_id)),
        Entry("contract", "contract", "0x" + founded.domain.contract.hex()),
        Entry("ledger", "ledger", founded.basis),
        Entry("invitation", "invitation for the others", str(output)),
    )
    sections = describe_standing(standing(founded), Names.of(home), own.account)
    show(Report((Facts("", "Founded", facts), *sections)), as_json=as_json)
