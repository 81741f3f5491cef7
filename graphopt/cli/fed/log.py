"""`graphopt fed log`: everything that ever happened in the federation."""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.options import AsJson, ChainOption
from graphopt.cli.progress import step


def log(
    since: Annotated[
        int, typer.Option("--since", metavar="BLOCK", min=0, help="Leave out what is in earlier blocks.")
    ] = 0,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Tell everything that ever happened in the federation, oldest first, as the chain has it.

    \b
    Examples:
      graphopt fed log
      graphopt fed log --since 120 --json
    """
    from graphopt.report import Cell, Column, Format, Report, Table, show
    from graphopt_governance.decide.chronicle import chronicle
    from graphopt_governance.decide.founding import own_federation
    from graphopt_governance.exchange.names import Names
    from graphopt_governance.home import Home

    home = Home.default(chain)
    with step("asking the chain"):
        events = [event for event in own_federation(home).events() if event.block >= since]
    columns = (
        Column("block", "block", Format.COUNT),
        Column("time", "time", Format.TIME),
        Column("event", "event"),
        Column("sentence", "what happened"),
    )
    rows: list[tuple[Cell, ...]] = [
        (event.block, event.time, event.name, told) for event, told in chronicle(events, Names.of(home))
    ]
    show(Report((Table("events", "Log", columns, tuple(rows)),)), as_json=as_json)
