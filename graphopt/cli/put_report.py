"""`graphopt report`: put the digest of a report about a bundle on record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.acted import BundleOrDigest
from graphopt.cli.consent import YesOption
from graphopt.cli.options import AsJson, ChainOption


def put_report(
    bundle: BundleOrDigest,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The report, of any kind.", show_default=False)],
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Put the SHA-256 of a report about a bundle on record.

    It shows later that this very report was known to a member, and when. The report itself stays where it is. One
    member with the right to report does that alone.

    \b
    Example:
      graphopt report model.bundle drift-in-november.pdf
    """
    from graphopt.cli.acted import describe_acted
    from graphopt.cli.consent import signing
    from graphopt.cli.passphrase import prompted
    from graphopt.report import Report, show
    from graphopt_governance.decide import acting
    from graphopt_governance.home import Home

    with signing(f"reporting {file}", yes=yes) as ask:
        acted = acting.put_report(acting.Member(Home.default(chain), prompted(), ask), bundle, file)
    show(Report((describe_acted(acted, "Reported"),)), as_json=as_json)
