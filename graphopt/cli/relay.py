"""`graphopt relay`: execute a ballot that has enough signatures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.cli.options import AsJson, ChainOption

if TYPE_CHECKING:
    from graphopt.report import Facts
    from graphopt_governance.deciding import Relayed


def relay(
    ballots: Annotated[
        list[Path],
        typer.Argument(metavar="BALLOT...", help="Ballots for the same action; their signatures are put together."),
    ],
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Put on record what enough members have signed.

    Anybody may relay: only the signatures count. What gives power in a federation may have to wait; relay the same
    ballot again when its time has come. For a proposal, `graphopt anchor` does the same.

    \b
    Examples:
      graphopt relay revocation.ballot.json
      graphopt relay from-east.ballot.json from-west.ballot.json
    """
    from graphopt.cli.passphrase import prompted
    from graphopt.cli.progress import step
    from graphopt.report import Report, show
    from graphopt_governance import deciding
    from graphopt_governance.home import Home

    with step("relaying"):
        relayed = deciding.relay_decided(ballots, home=Home.default(chain), passphrase=prompted())
    show(Report((describe_relayed(relayed, "Relayed"),)), as_json=as_json)


def describe_relayed(relayed: Relayed, title: str) -> Facts:
    """What was put on record."""
    from graphopt.report import Entry, Facts, Format

    return Facts(
        "",
        title,
        (
            Entry("what", "what", relayed.what),
            Entry("subject", "digest", relayed.subject),
            Entry("block", "block", relayed.block, Format.COUNT),
            Entry("block_time", "block time", relayed.block_time, Format.TIME),
            Entry("waits", "waits until", relayed.waits or None, Format.TIME),
            Entry("inclusions", "inclusions kept", len(relayed.inclusions) or None, Format.COUNT),
        ),
    )
