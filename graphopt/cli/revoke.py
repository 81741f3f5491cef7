"""`graphopt revoke`: withdraw the approval of a bundle."""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.acted import BallotOutput, BundleOrDigest, ReasonOption
from graphopt.cli.consent import YesOption
from graphopt.cli.options import AsJson, ChainOption


def revoke(
    bundle: BundleOrDigest,
    reason: ReasonOption = "",
    emergency: Annotated[
        bool,
        typer.Option("--emergency", help="Suspend it at once, as one member; a quorum restores it."),
    ] = False,
    output: BallotOutput = None,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw the approval of a bundle, or of a batch.

    From the block on in which that is recorded, the gate refuses the bundle. Copies of it are not recalled: whoever
    does not ask a gate can still run them. Where several must agree, a ballot is written, which the others sign with
    `graphopt approve` and anybody executes with `graphopt fed relay`; --emergency needs nobody else.

    \b
    Examples:
      graphopt revoke model.bundle --reason "wrong labels"
      graphopt revoke model.bundle --reason "wrong labels" -o revocation.ballot.json
      graphopt revoke 605343e266198aff28866f7b980bd7bc89a675a1900e3321e1e3f309ae710ce4 --emergency
    """
    from graphopt.cli.acted import describe_acted
    from graphopt.cli.consent import signing
    from graphopt.cli.output import check_writable
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Entry, Facts, Report, show
    from graphopt_governance.decide import acting
    from graphopt_governance.home import Home

    if output is not None:
        check_writable(output)
    with signing(f"revoking {bundle}", yes=yes) as ask:
        member = acting.Member(Home.default(chain), prompted(), ask)
        acted = acting.revoke(member, bundle, reason, emergency=emergency, output=output)
    done = describe_acted(acted, "Suspended" if emergency else "Revoked")
    more = (Entry("reason", "reason", reason or None), Entry("emergency", "only suspended", emergency))
    show(Report((Facts("", done.title, (*done.entries, *more)),)), as_json=as_json)
