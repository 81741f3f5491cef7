"""`graphopt fed invitation`: write the invitation to the federation of this home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.options import AsJson


def invitation(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where it is written.")] = Path(
        "invitation.json"
    ),
    as_json: AsJson = False,
) -> None:
    """Write the invitation to your federation, for somebody who is to join it (`fed join`).

    It says which contract on which chain, and what you call the members; not how you reach them, and nothing secret.

    \b
    Example:
      graphopt fed invitation -o invitation.json
    """
    from graphopt.cli.output import check_writable
    from graphopt.report import Entry, Facts, Report, show
    from graphopt_governance.decide.founding import invitation_to
    from graphopt_governance.home import Home

    check_writable(output)
    made = invitation_to(Home.default())
    made.save(output)
    facts = (
        Entry("chain", "chain", str(made.domain.chain_id)),
        Entry("contract", "contract", "0x" + made.domain.contract.hex()),
        Entry("invitation", "written to", str(output)),
    )
    show(Report((Facts("", "Invitation", facts),)), as_json=as_json)
