"""Native code in this process: a bundle's kernels, and teams of threads that walk tables of launches."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from graphopt.errors import BundleError
from graphopt_kernels.abi import Launch
from graphopt_kernels.bind.run import LOOP
from graphopt_kernels.errors import LoadError
from graphopt_kernels.load import Library
from graphopt_kernels.team import Table, Team

WORTH_SHARING = 50_000
"""Scalar operations: a launch with less is made by one thread, as a barrier costs more than it saves."""


LARGEST_TEAM = min(max(8, os.cpu_count() or 1), 64)
"""Threads that may run one table: launches are bound with scratch for so many, and no larger team is ever formed."""


class Kernels:
    """A library's kernels and the threads that run them; without a library, for programs that call none."""

    def __init__(self, library: Library | None) -> None:
        self._library = library
        self._teams: dict[int, Team] = {}
        self._loop: Callable[[int, int, int], None] | None = None
        if library is not None:
            self._loop = library.function(LOOP.symbol)

    def table(self, launches: Sequence[Launch], blocks: Sequence[int], *, stamped: bool = False) -> Table:
        """A table of launches whose argument blocks lie at the addresses given."""
        if self._library is None:
            raise BundleError("the program calls native kernels, and the bundle holds none")
        try:
            rows = [
                (self._library.address(launch.symbol), block, launch.work < WORTH_SHARING)
                for launch, block in zip(launches, blocks, strict=True)
            ]
        except LoadError as error:
            raise BundleError(str(error)) from error
        return Table(rows, stamped=stamped)

    def run(self, table: Table, threads: int) -> None:
        """Walk the table; the threads of a team take part when it is free, else the caller walks alone."""
        threads = min(threads, LARGEST_TEAM)
        if threads > 1:
            team = self._teams.get(threads)
            if team is None:
                assert self._library is not None
                team = self._teams.setdefault(threads, Team(self._library, threads))
            if team.try_run(table):
                return
        assert self._loop is not None
        self._loop(table.address, 0, 1)
