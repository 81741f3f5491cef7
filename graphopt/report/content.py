"""A report: named sections that are printed as tables or as JSON, so that the two cannot tell different things."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

Cell: TypeAlias = "str | int | float | bool | None"


class Format(Enum):
    """How a value is written in a table; as JSON it is always the plain value in the unit named here."""

    TEXT = "text"
    COUNT = "count"
    NUMBER = "number"
    BYTES = "bytes"
    SECONDS = "seconds"
    RATIO = "ratio"
    PERCENT = "fraction of one"
    ERROR = "error"
    TIME = "seconds since the epoch"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its key in JSON, its title, how its cells are written."""

    key: str
    title: str
    format: Format = Format.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns.  As JSON: a list of objects, all of them; as a table the first `most`."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    most: int | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.key!r}: a row of {len(row)} cells under {len(self.columns)} columns")

    def data(self) -> list[dict[str, Cell]]:
        """One object for each row."""
        keys = [column.key for column in self.columns]
        return [dict(zip(keys, map(plain, row), strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact: its key in JSON, its title, its value, how it is written."""

    key: str
    title: str
    value: Cell
    format: Format = Format.TEXT


@dataclass(frozen=True, slots=True)
class Facts:
    """Named single values.  As JSON: an object, or, when `key` is empty, members of the report itself."""

    key: str
    title: str
    entries: tuple[Entry, ...]

    def data(self) -> dict[str, Cell]:
        """The values by key."""
        return {entry.key: plain(entry.value) for entry in self.entries}


Section: TypeAlias = Table | Facts


@dataclass(frozen=True, slots=True)
class Report:
    """What a command tells, in the order in which a person reads it."""

    sections: tuple[Section, ...]

    def data(self) -> Mapping[str, Any]:
        """The whole report as plain data for `json.dumps`."""
        found: dict[str, Any] = {}
        for section in self.sections:
            members: dict[str, Any] = {section.key: section.data()}
            if isinstance(section, Facts) and not section.key:
                members = {**section.data()}
            twice = found.keys() & members.keys()
            if twice:
                raise ValueError(f"two sections of a report are called {sorted(twice)}")
            found |= members
        return found


def plain(value: Cell) -> Cell:
    """The value as JSON can hold it: numbers that are not finite become their names."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
