"""What binding makes of a program for known shapes: parts, each a list of actions over planned memory.

A *part* runs from a step up to the end of the program, or up to where shapes depend on data; then the next part is
looked up by what the data gave.  Addresses in a part are offsets into buffers that are known only when it runs: the
weights, the part's literals, an arena, and arrays that come from outside or go there.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from graphopt.runtime.pool import ContextPool, PlanTable
from graphopt_kernels.abi import Launch, Ref

WEIGHTS, LITERALS, ARENA, EXTERNAL = range(4)
"""Buffers of a part; `EXTERNAL + i` is the i-th array that comes from outside or goes there."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value whose dtype and shape are known; `buffer` and `offset` say where it lies, no buffer: in the frame alone.

    `known` holds the elements where shapes alone decide them.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    buffer: int | None = None
    offset: int = 0
    known: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        count = self.dtype.itemsize
        for dim in self.shape:
            count *= dim
        return count

    @property
    def ref(self) -> Ref:
        """Where its elements begin, bounded by its own bytes; ValueError where it has no address."""
        if self.buffer is None:
            raise ValueError("a value that has no address stands among a kernel's operands")
        return Ref.to(self.buffer, self.offset, self.nbytes)


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is no tensor of numbers, or of which nothing is known before it is there."""


Bound: TypeAlias = Tensor | Opaque


@dataclass(frozen=True, slots=True)
class Native:
    """Launches `first` to `first + count` of the part, run in one call."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Evaluate:
    """A step run in Python: by its meaning or by its subprograms."""

    step: int
    """Its index in the program."""
    copies: tuple[tuple[int, int], ...] = ()
    """(output slot, value): results that a kernel reads, copied to where it looks for them."""
    owned: tuple[int, ...] = ()
    """Output slots whose arrays outlive the step, and so must not be views of its operands."""
    planned: tuple[tuple[int, np.dtype, tuple[int, ...]], ...] = ()
    """(output slot, dtype, shape): what the rest of the part was bound for."""


@dataclass(frozen=True, slots=True)
class View:
    """A value of the frame under another shape."""

    source: int
    made: int
    shape: tuple[int, ...]


Action: TypeAlias = Native | Evaluate | View


@dataclass(frozen=True, slots=True)
class Fresh:
    """An output array to be made for each run: its buffer's place among the externals, and the value in it."""

    external: int
    value: int
    dtype: np.dtype
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """Where an output of the program is found: an external that is its alone (under `shape`), or the frame.

    `copy` is set where the frame holds what somebody else owns too.
    """

    value: int
    shape: tuple[int, ...] | None
    external: int | None
    copy: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """Why a part ends early: the elements of `values` decide shapes, or `shapes` of values were not known before."""

    step: int
    values: tuple[int, ...] = ()
    shapes: tuple[int, ...] = ()


@dataclass(slots=True)
class Part:
    """One bound stretch of a program."""

    actions: tuple[Action, ...]
    launches: tuple[Launch, ...]
    names: tuple[int, ...]
    """For each launch the step it belongs to."""
    literals: np.ndarray
    arena_bytes: int
    externals: tuple[int, ...]
    """Values whose arrays come from the frame, by place among the externals; -1 for fresh outputs."""
    fresh: tuple[Fresh, ...]
    views: tuple[tuple[int, Tensor], ...]
    """Planned values that Python steps, later parts or the results look at."""
    env: dict[int, Bound]
    next: Next | None
    results: tuple[Result, ...]
    direct: bool
    """Whether native calls alone lead from what comes from outside to every output."""
    indexed: bool
    """Whether a launch picks by indices that are data, and so may report one that lies outside its axis."""
    order: tuple[int, ...] = ()
    """Of a direct part, once it ran: for each external the input's place, -1 for a fresh array."""
    contexts: ContextPool = field(default_factory=ContextPool)
    children: PlanTable[Hashable, Part] = field(default_factory=lambda: PlanTable[Hashable, "Part"]())
