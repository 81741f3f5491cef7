"""An argument block as a kernel reads it, and what the kernel touches through one of its addresses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphopt_kernels.abi import KernelSpec, Launch


@dataclass(frozen=True, slots=True)
class Reach:
    """The bytes `low` to `high`, counted from where the field points, are touched; none where the two are equal."""

    field: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Block:
    """The fields of a launch; ValueError for numbers with which the kernel would read no block, or never end."""

    launch: Launch

    @property
    def spec(self) -> KernelSpec:
        """Which machine code reads the block."""
        return self.launch.spec

    def __len__(self) -> int:
        return len(self.launch.fields)

    def words(self, expected: int) -> None:
        """Return when the block has that many words."""
        if len(self) != expected:
            raise ValueError(f"a block of {self.spec.family} has {len(self)} words where its code reads {expected}")

    def number(self, field: int) -> int:
        """A field that is a whole number."""
        value = self.launch.fields[field] if 0 <= field < len(self) else None
        if not isinstance(value, int):
            raise ValueError(f"field {field} of {self.spec.family} is no whole number")
        return value

    def count(self, field: int, least: int = 0) -> int:
        """A field that counts something."""
        value = self.number(field)
        if value < least:
            raise ValueError(f"field {field} of {self.spec.family} is {value}, and {least} is the least it may be")
        return value

    def counts(self, fields: Iterable[int], least: int = 0) -> tuple[int, ...]:
        """Fields that count something."""
        return tuple(self.count(field, least) for field in fields)

    def given(self, field: int) -> bool:
        """Whether an address is there that may be left out (0)."""
        return self.launch.fields[field] != 0

    def dims(self, first: int, rank: int, columns: int = 2, column: int = 1) -> list[tuple[int, int]]:
        """`rank` rows of `columns` fields as (size, what stands in `column`), sizes at least 1."""
        rows = range(first, first + rank * columns, columns)
        return [(self.count(row, 1), self.number(row + column)) for row in rows]


def flat(field: int, nbytes: int) -> Reach:
    """The first `nbytes` bytes."""
    return Reach(field, 0, nbytes)


def nest(field: int, itemsize: int, dims: Iterable[tuple[int, int]], last: int = 1) -> Reach:
    """A loop nest of (size, stride in elements), `last` elements side by side at each step."""
    dims = list(dims)
    if last == 0 or any(size == 0 for size, _ in dims):
        return Reach(field, 0, 0)
    low = sum(min(0, (size - 1) * stride) for size, stride in dims)
    high = sum(max(0, (size - 1) * stride) for size, stride in dims) + last
    return Reach(field, low * itemsize, high * itemsize)


def require(holds: bool, sentence: str) -> None:
    """ValueError with the sentence unless it holds."""
    if not holds:
        raise ValueError(sentence)
