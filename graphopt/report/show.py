"""Prints a report on standard output: JSON for programs, tables for people."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from graphopt.report.content import Facts, Format, Report, Table
from graphopt.report.wording import worded
from graphopt.text import printable

if TYPE_CHECKING:
    from rich.table import Table as RichTable
    from rich.text import Text

WIDTH_OF_A_PIPE = 200
"""Columns where standard output is no terminal: wide enough that names are not folded."""


def show(report: Report, *, as_json: bool = False) -> None:
    """Prints the whole report: tables, or with `as_json` one JSON object and nothing else."""
    if as_json:
        sys.stdout.write(as_json_text(report))
    else:
        sys.stdout.write(as_text(report))
    sys.stdout.flush()


def as_json_text(report: Report) -> str:
    r"""The report as one JSON object.  What a terminal would obey stands in it as `\u202e`, which JSON reads back."""
    text = json.dumps(report.data(), indent=2, ensure_ascii=False, allow_nan=False)
    # outside of strings there is nothing but printable ASCII and line breaks
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text) + "\n"


def as_text(report: Report) -> str:
    """The report as tables: coloured on a terminal, plain anywhere else."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_A_PIPE)
    with console.capture() as captured:
        for section in report.sections:
            console.print(Text(printable(section.title), style="bold"))
            if isinstance(section, Facts):
                console.print(_facts(section), soft_wrap=True)
            elif not section.rows:
                console.print(Text("  none", style="dim"))
            else:
                console.print(Padding(_table(section), (0, 0, 0, 2)))
                if (left := len(section.rows) - len(section.rows[: section.most])) > 0:
                    console.print(Text(f"  and {left:,} more; --json gives all", style="dim"))
            console.print()
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _facts(section: Facts) -> Text:
    """One fact a line, never folded: a digest that is broken in two cannot be copied."""
    from rich.text import Text

    width = max((len(entry.title) for entry in section.entries), default=0)
    lines = [
        Text.assemble((f"  {entry.title.ljust(width)}  ", "dim"), worded(entry.value, entry.format))
        for entry in section.entries
    ]
    return Text("\n").join(lines)


def _table(section: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")
    for column in section.columns:
        table.add_column(column.title, justify="left" if column.format is Format.TEXT else "right", overflow="fold")
    for row in section.rows[: section.most]:
        cells = zip(row, section.columns, strict=True)
        table.add_row(*(Text(worded(cell, column.format)) for cell, column in cells))
    return table
