"""`graphopt restore`: undo the withdrawal of a bundle."""

from __future__ import annotations

from graphopt.cli.acted import BallotOutput, BundleOrDigest, ReasonOption
from graphopt.cli.consent import YesOption
from graphopt.cli.options import AsJson, ChainOption


def restore(
    bundle: BundleOrDigest,
    reason: ReasonOption = "",
    output: BallotOutput = None,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Let a bundle run again that was revoked or suspended.

    It is as it was before it was withdrawn. Where several must agree, a ballot is written, as with `graphopt revoke`.

    \b
    Examples:
      graphopt restore model.bundle --reason "false alarm"
      graphopt restore model.bundle -o restore.ballot.json
    """
    from graphopt.cli.acted import describe_acted
    from graphopt.cli.consent import signing
    from graphopt.cli.output import check_writable
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Report, show
    from graphopt_governance.decide import acting
    from graphopt_governance.home import Home

    if output is not None:
        check_writable(output)
    with signing(f"restoring {bundle}", yes=yes) as ask:
        member = acting.Member(Home.default(chain), prompted(), ask)
        acted = acting.restore(member, bundle, reason, output=output)
    show(Report((describe_acted(acted, "Restored"),)), as_json=as_json)
