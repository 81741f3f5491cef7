"""`graphopt verify`: may this bundle run?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from graphopt.cli.options import AsJson, BundlePath, ChainOption
from graphopt.cli.progress import step

if TYPE_CHECKING:
    from graphopt.report import Entry


def verify(bundle: BundlePath, chain: ChainOption = None, as_json: AsJson = False) -> None:
    """Say whether a bundle may run, with every reason against it.

    Every byte is checked against the manifest, the signature against the federation's members, the digest against
    the chain. Nothing is executed or changed, and no key is needed.

    \b
    Exit codes:
      0 approved        2 there is nothing to judge
      10 altered       11 not signed      12 the signature does not hold
      13 signed by somebody unknown       14 not anchored
      15 revoked or suspended             16 expired      17 superseded

    \b
    Example:
      graphopt verify model.bundle && graphopt run model.bundle --input request.npz
    """
    from graphopt.report import Cell, Column, Entry, Facts, Report, Table, show
    from graphopt_governance import actions
    from graphopt_governance.home import Home

    with step(f"verifying {bundle}"):
        verdict = actions.verify(bundle, Home.default(chain))
    facts: list[Entry] = [
        Entry("approved", "may run", verdict.approved),
        Entry("verdict", "verdict", verdict.sentence),
        Entry("digest", "digest", verdict.digest),
    ]
    facts += [_fact(key, value) for key, value in verdict.facts.items()]
    rows: list[tuple[Cell, ...]] = [(str(reason.code), reason.sentence) for reason in verdict.reasons]
    columns = (Column("code", "code"), Column("sentence", "reason"))
    report = Report((Facts("", "Verdict", tuple(facts)), Table("reasons", "Reasons against it", columns, tuple(rows))))
    show(report, as_json=as_json)
    if not verdict.approved:
        typer.echo(f"graphopt: refused: {verdict.sentence}", err=True)
    raise typer.Exit(verdict.exit_code)


def _fact(key: str, value: Any) -> Entry:
    from graphopt.report import Entry, Format

    if key in ("as_of_time", "anchored_time", "expires"):
        return Entry(key, key.replace("_", " "), value or None, Format.TIME)
    return Entry(key, key.replace("_", " "), str(value) if key == "chain" else value)
