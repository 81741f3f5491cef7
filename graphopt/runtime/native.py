"""Native code in this process: a library's kernels, and the loop that walks a table of launches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graphopt_kernels.abi import Launch


class Library(Protocol):
    """Kernels by symbol."""

    def table(self, launches: Sequence[Launch], blocks: Sequence[int]) -> object:
        """A table of launches whose argument blocks lie at the addresses given."""
        ...

    def run(self, table: object, first: int, count: int, threads: int) -> None:
        """Run `count` launches from `first`, without the GIL."""
        ...
