"""How much a rewrite may change the numbers."""

from __future__ import annotations

from enum import IntEnum

from graphopt.errors import GraphoptError


class Exactness(IntEnum):
    """The contract of a rewrite; a level admits every rewrite at or below it."""

    EXACT = 0
    """Bit for bit, for every input: NaN, ±0, ±inf, integers at their ends, empty and size-1 dimensions."""
    REASSOCIATE = 1
    """Equal in real arithmetic, differs by rounding; NaN and infinities of the inputs still propagate."""
    APPROXIMATE = 2
    """A stated error bound, opted into."""

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def parse(cls, level: str | Exactness) -> Exactness:
        """The level called `exact`, `reassociate` or `approximate`; GraphoptError for any other word."""
        if isinstance(level, Exactness):
            return level
        for member in cls:
            if str(member) == level:
                return member
        raise GraphoptError(f"level {level!r} is not known: choose one of {', '.join(map(str, cls))}")
