"""`graphopt fed card`: make the card by which the others know a member."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.fed.options import RightsOption
from graphopt.cli.options import AsJson


def card(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where it is written; NAME.card.json when left out.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="What the others call you; your home's folder when left out.", show_default=False),
    ] = None,
    rights: RightsOption = None,
    yes: YesOption = False,
    as_json: AsJson = False,
) -> None:
    """Make your card: your public keys, the rights you ask for, and proof that the keys are yours.

    The three keys (one votes, one signs manifests, one opens sealed bundles) are made on first use in the home and stay
    there. The card is no secret: give it to whoever founds the federation, or to a member of it, who should compare
    the account on it with what you tell him.

    \b
    Examples:
      graphopt fed card
      graphopt fed card --name east --rights approve,revoke -o east.card.json
    """
    from graphopt.cli.consent import consent
    from graphopt.cli.fed.options import rights_of
    from graphopt.cli.output import check_writable
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Entry, Facts, Report, show
    from graphopt_governance.exchange.cards import own_name, prepare_card
    from graphopt_governance.home import Home
    from graphopt_governance.protocol.action import names_of

    home = Home.default()
    called = own_name(home, name)
    path = output or Path(f"{called}.card.json")
    check_writable(path)
    wanted = rights_of(rights if rights is not None else "all")
    unsigned = prepare_card(home, called, wanted, prompted())
    consent(["your card, signed by your keys", *unsigned.card.describe()], yes=yes)
    made = unsigned.signed()
    made.save(path)
    facts = (
        Entry("name", "name", made.name),
        Entry("account", "account", "0x" + made.account.hex()),
        Entry("rights", "rights asked for", ", ".join(names_of(made.rights)) or "none"),
        Entry("signing_key", "signing key", made.signing.hex()),
        Entry("sealing_key", "sealing key", made.sealing.hex()),
        Entry("card", "written to", str(path)),
    )
    show(Report((Facts("", "Card", facts),)), as_json=as_json)
