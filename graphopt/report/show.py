"""Prints a report on standard output: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from graphopt.report.content import Facts, Format, Report, Table
from graphopt.report.wording import worded

if TYPE_CHECKING:
    from rich.table import Table as RichTable

WIDTH_OF_A_PIPE = 200
"""Columns where standard output is no terminal: wide enough that names are not folded."""


def show(report: Report, *, as_json: bool = False) -> None:
    """Prints the whole report: tables, or with `as_json` one JSON object and nothing else."""
    if as_json:
        sys.stdout.write(json.dumps(report.data(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        sys.stdout.write(as_text(report))
    sys.stdout.flush()


def as_text(report: Report) -> str:
    """The report as tables: coloured on a terminal, plain anywhere else."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)
    with console.capture() as captured:
        for section in report.sections:
            if section.title:
                console.print(Text(section.title, style="bold"))
            console.print(_facts(section) if isinstance(section, Facts) else _table(section))
            console.print()
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _facts(section: Facts) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for entry in section.entries:
        grid.add_row(Text(f"  {entry.title}"), Text(worded(entry.value, entry.format)))
    return grid


def _table(section: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=True, header_style="dim")
    for column in section.columns:
        table.add_column(column.title, justify="left" if column.format is Format.TEXT else "right", overflow="fold")
    for row in section.rows:
        cells = zip(row, section.columns, strict=True)
        table.add_row(*(Text(worded(cell, column.format)) for cell, column in cells))
    return table
