"""`graphopt fed relay`: bring the signatures of members together, and execute what they decided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step


def relay(
    ballots: Annotated[
        list[Path], typer.Argument(metavar="BALLOT...", help="Ballots for one action.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the ballot with all signatures here, also where there are too few yet.",
            show_default=False,
        ),
    ] = None,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Execute what members decided: merge the signatures on ballots for one action, and relay it when they are enough.

    It signs nothing and changes nothing that the members did not sign; on a real chain your account pays for it. A
    change that gives power is first put on record, waits for the federation's delay, and is done by relaying it again.

    \b
    Examples:
      graphopt fed relay add-south.ballot.json
      graphopt fed relay from-east.ballot.json from-west.ballot.json -o merged.ballot.json
    """
    from graphopt.cli.fed.ballots import show_relayed
    from graphopt.cli.output import check_writable
    from graphopt.cli.passphrase import prompted
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.decide.relaying import merged, relay_ballots
    from graphopt_governance.exchange.ballot import Ballot
    from graphopt_governance.home import Home

    one = merged([Ballot.load(path) for path in ballots])
    if output is not None:
        check_writable(output)
        one.save(output)
    with step("relaying"):
        done = relay_ballots([one], own_federation(Home.default(chain), prompted()))
    show_relayed(done, output or ballots[0], as_json=as_json)
