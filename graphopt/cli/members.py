"""The members that something was sealed for, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.report import Table
    from graphopt_governance.home import Home


def members_table(numbers: Sequence[int], home: Home | None) -> Table:
    """One row for each member, with the name that the owner of `home` calls him by; None: of an unknown federation."""
    from graphopt.report import Column, Table
    from graphopt_governance.exchange.names import Names

    names = Names() if home is None else Names.of(home)
    rows = tuple((number, names.numbers.get(number)) for number in numbers)
    return Table("members", "For the members", (Column("number", "member"), Column("name", "name")), rows)
