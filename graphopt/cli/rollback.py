"""`graphopt rollback`: make an earlier version of a model current again."""

from __future__ import annotations

from graphopt.cli.acted import BallotOutput, BundleOrDigest
from graphopt.cli.consent import YesOption
from graphopt.cli.options import AsJson, ChainOption


def rollback(
    bundle: BundleOrDigest,
    output: BallotOutput = None,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier version of a model current again.

    The bundle must still be approved. The version that was current is superseded by it; both stay on record, and the
    next version gets a number of its own. Where several must agree, a ballot is written, as with `graphopt revoke`.

    \b
    Example:
      graphopt rollback yesterday.bundle -o rollback.ballot.json
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
    with signing(f"going back to {bundle}", yes=yes) as ask:
        member = acting.Member(Home.default(chain), prompted(), ask)
        acted = acting.roll_back(member, bundle, output=output)
    show(Report((describe_acted(acted, "Rolled back"),)), as_json=as_json)
