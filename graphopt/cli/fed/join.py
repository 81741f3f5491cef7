"""`graphopt fed join`: tie this home to a federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.fed.options import LedgerOption
from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step


def join(
    invitation: Annotated[
        Path, typer.Argument(metavar="INVITATION", help="The file that `fed init` wrote.", show_default=False)
    ],
    ledger: LedgerOption = None,
    chain: ChainOption = None,
    agree: Annotated[
        int | None,
        typer.Option(
            "--agree",
            metavar="K",
            min=1,
            help="How many of the nodes must agree; a majority when left out.",
            show_default=False,
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="BLOCK:HASH",
            help="A final block that you know; a node that does not have it is not believed.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Leave the federation that this home is in, or the place at which it has it; its keys stay.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Join without being asked; what is found is shown all the same.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tie your home to a federation: from then on every command asks that one.

    The chain's id, the contract's address and the hash of its code are checked against the invitation and against what
    this version knows; its rules and members are shown, and which of them is you. Of a ledger's file, a copy is looked
    at and its history executed again. Another place for the federation that the home is in takes --replace. Compare the
    members' accounts with what they told you: the invitation itself proves nothing. Joining needs no passphrase and
    changes nothing on the chain.

    \b
    Examples:
      graphopt fed join invitation.json --ledger /shared/ledger.sqlite3
      graphopt fed join invitation.json --chain https://one.example.org,https://two.example.org --agree 2
    """
    from graphopt.cli.consent import consent
    from graphopt.cli.fed.options import checkpoint_of
    from graphopt.cli.fed.status import describe_standing
    from graphopt.report import Entry, Facts, Report, show
    from graphopt_governance.decide.founding import prepare_to_join
    from graphopt_governance.exchange.invitation import Invitation
    from graphopt_governance.exchange.names import Names
    from graphopt_governance.home import Home

    home = Home.default(chain)
    with step("looking at the federation"):
        named = checkpoint_of(checkpoint) if checkpoint is not None else None
        found = prepare_to_join(home, Invitation.load(invitation), ledger, agree, named, instead=replace)
    consent(found.describe(), yes=yes, question="Join it?", otherwise="nothing was joined")
    found.keep(home, instead=replace)
    facts = (
        Entry("chain", "chain", str(found.where.domain.chain_id)),
        Entry("contract", "contract", "0x" + found.where.domain.contract.hex()),
        Entry("ledger", "ledger", found.basis),
        Entry("member", "you are member", found.own.number if found.own is not None else None),
    )
    own = found.own.account if found.own is not None else None
    sections = describe_standing(found.standing, Names.of(home), own)
    show(Report((Facts("", "Joined", facts), *sections)), as_json=as_json)
