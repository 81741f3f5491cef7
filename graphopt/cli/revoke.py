"""`graphopt revoke`: withdraw the approval of a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.consent import YesOption, signing
from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.passphrase import prompted


def revoke(
    bundle: Annotated[
        str,
        typer.Argument(metavar="BUNDLE", help="The bundle's folder, or its digest in hexadecimal.", show_default=False),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; at most 32 bytes, on the chain word for word.")
    ] = "",
    emergency: Annotated[
        bool, typer.Option("--emergency", help="Suspend it by one member's own decision; a quorum can restore it.")
    ] = False,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw the approval of a bundle.

    From the block on in which that is recorded, the gate refuses the bundle. Copies of it are not recalled: whoever
    does not ask a gate can still run them.

    \b
    Examples:
      graphopt revoke model.bundle --reason "wrong labels"
      graphopt revoke 605343e266198aff28866f7b980bd7bc89a675a1900e3321e1e3f309ae710ce4 --emergency
    """
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance import actions
    from graphopt_governance.home import Home

    with signing(f"revoking {bundle}", yes=yes) as ask:
        withdrawn = actions.revoke(
            bundle, reason, emergency=emergency, home=Home.default(chain), passphrase=prompted(), ask=ask
        )
    facts = (
        Entry("digest", "digest", withdrawn.digest),
        Entry("block", "block", withdrawn.block, Format.COUNT),
        Entry("time", "block time", withdrawn.block_time, Format.TIME),
        Entry("reason", "reason", withdrawn.reason or None),
        Entry("emergency", "only suspended", withdrawn.emergency),
    )
    show(Report((Facts("", "Revoked", facts),)), as_json=as_json)
