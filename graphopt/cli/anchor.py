"""`graphopt anchor`: put the approval of a signed bundle on record."""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.consent import YesOption, signing
from graphopt.cli.options import AsJson, BundlePath, ChainOption
from graphopt.cli.passphrase import prompted


def anchor(
    bundle: BundlePath,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="NAME", help="Make it the next version of this model.", show_default=False),
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(
            "--days", min=0.0, help="How long the approval lasts; for ever when left out.", show_default=False
        ),
    ] = None,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Put the approval of a signed bundle on record.

    The first use founds a federation whose one member is the owner of this machine's keys. The embedded chain is
    one operator's ledger without consensus: it shows that a bundle was altered, not approved or revoked, but not
    that its own operator was honest. With --model, the bundle supersedes the version of that model before it.

    With --chain, the first use deploys the federation's contract on that chain. The account of the member key pays for
    what is sent, and the command returns once its block is final.

    \b
    Examples:
      graphopt anchor model.bundle
      graphopt anchor model.bundle --model digits --days 90
      graphopt anchor model.bundle --chain https://node.example.org
    """
    import time

    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance import actions
    from graphopt_governance.home import Home

    expires = 0 if days is None else int(time.time() + days * 86400)
    with signing(f"anchoring {bundle}", yes=yes) as ask:
        anchored = actions.anchor(
            bundle, model, expires=expires, home=Home.default(chain), passphrase=prompted(), ask=ask
        )
    facts = (
        Entry("digest", "digest", anchored.digest),
        Entry("block", "block", anchored.block, Format.COUNT),
        Entry("time", "block time", anchored.block_time, Format.TIME),
        Entry("version", "version of its model", anchored.version, Format.COUNT),
        Entry("already", "was there before", anchored.already),
        Entry("chain", "chain", str(anchored.chain)),
        Entry("contract", "contract", anchored.contract),
        Entry("ledger", "ledger", anchored.ledger),
    )
    show(Report((Facts("", "Anchored", facts),)), as_json=as_json)
