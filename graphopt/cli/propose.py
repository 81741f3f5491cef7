"""`graphopt propose`: announce a bundle as the next version of a model, for the other members to approve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.options import AsJson, BundlePath, ChainOption, DaysOption, expires_after


def propose(
    bundle: BundlePath,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="The model that it is to be the next version of.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="PROPOSAL", help="The folder to write.", show_default=False)
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--source", metavar="IN.onnx", help="The model it was made from, for the others.", show_default=False
        ),
    ] = None,
    no_source: Annotated[
        bool, typer.Option("--no-source", help="Leave the model out: the others have it, or do not rebuild.")
    ] = False,
    days: DaysOption = None,
    lasts: Annotated[
        str, typer.Option("--lasts", metavar="TIME", help="For how long signatures can be gathered: 90m, 12h, 7d.")
    ] = "7d",
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Propose a signed bundle as the next version of a model.

    It is announced on the chain, which takes the signature of one member with the right to propose, and a folder is
    written for the others: the model's name, the manifest, the ballot, and the model itself to rebuild from. Give it to
    them by any way; they sign it with `graphopt approve`, and `graphopt anchor` relays it once there are enough.

    \b
    Examples:
      graphopt propose model.bundle --model digits --source model.onnx -o digits.proposal
      graphopt propose model.bundle --model digits --no-source --days 90 -o digits.proposal
    """
    from graphopt.cli.consent import signing
    from graphopt.cli.fed.options import seconds_of
    from graphopt.cli.passphrase import prompted
    from graphopt.errors import InputError
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance.decide import deciding
    from graphopt_governance.home import Home

    if (source is None) != no_source:
        raise InputError("give the model that the bundle was made from (--source), or leave it out (--no-source)")
    expires = expires_after(days)
    with signing(f"proposing {bundle}", yes=yes) as ask:
        proposed = deciding.propose(
            bundle,
            model,
            output,
            source=source,
            expires=expires,
            lasts=seconds_of(lasts),
            home=Home.default(chain),
            passphrase=prompted(),
            ask=ask,
        )
    facts = (
        Entry("digest", "digest", proposed.digest),
        Entry("model", "model", proposed.model),
        Entry("version", "version", proposed.version, Format.COUNT),
        Entry("block", "block", proposed.block, Format.COUNT),
        Entry("proposal", "for the others", proposed.proposal),
        Entry("until", "signatures until", proposed.until, Format.TIME),
    )
    show(Report((Facts("", "Proposed", facts),)), as_json=as_json)
