"""Runs a kernel family on numpy arrays: selects, emits, binds, launches every member of a team in turn.

Each array lies in a buffer of its own between two pages that nobody may touch: a kernel that reads or writes beyond its
array ends the process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Ref, float_field
from graphopt_kernels.bind.table import Family, family
from graphopt_kernels.cache import native
from graphopt_kernels.faults import CELL_WORDS, FAULTS, TAKEN, said
from graphopt_kernels.harness import Bound
from graphopt_kernels.load import Library
from graphopt_kernels.reach.hold import hold, reach_of
from graphopt_kernels.targets import host_targets
from tests.walls import guarded, guarded_before

BRICK = 0xA5
_libraries: dict[tuple[tuple[KernelSpec, ...], str], Library] = {}


class Memory:
    """Buffers by number; once launches are bound, what these say they touch lies between pages without access.

    The wall is `guarded` or `guarded_before`: whether the touched bytes end where the second page begins, or begin
    where the first one ends.
    """

    def __init__(self, wall: Callable[[np.ndarray], np.ndarray]) -> None:
        self.wall = wall
        self.cell = wall(np.zeros(CELL_WORDS, np.int64))
        self.buffers: list[np.ndarray] = []
        self.touched: dict[int, tuple[int, int]] = {}
        self.placed: dict[int, np.ndarray] = {}

    def take(self, nbytes: int) -> Ref:
        """A buffer of that many bytes, filled with bricks."""
        self.buffers.append(np.full(nbytes, BRICK, np.uint8))
        return Ref.to(len(self.buffers) - 1, 0, nbytes)

    def operand(self, array: np.ndarray, known: bool = False, stored: np.ndarray | None = None) -> Operand:
        """The array, placed as it is `stored`; its elements are `value` too where they are known when binding."""
        laid = array if stored is None else stored
        ref = self.take(laid.nbytes)
        self.buffers[ref.buffer][:] = np.ascontiguousarray(laid).reshape(-1).view(np.uint8)
        return Operand(array.dtype, array.shape, ref, array if known else None)

    def settle(self, launches: Sequence[Launch]) -> None:
        """Cut every buffer down to what the launches say they touch, and put it between the pages."""
        for launch in launches:
            for reach in reach_of(launch):
                ref = launch.fields[reach.field]
                if isinstance(ref, Ref) and ref.buffer != FAULTS and reach.low < reach.high:
                    low, high = ref.offset + reach.low, ref.offset + reach.high
                    first, last = self.touched.get(ref.buffer, (low, high))
                    self.touched[ref.buffer] = (min(first, low), max(last, high))
        for buffer, (low, high) in self.touched.items():
            self.placed[buffer] = self.wall(self.buffers[buffer][low:high])

    def block(self, launch: Launch) -> np.ndarray:
        """The argument block of a launch."""
        fields = [
            float_field(f) if isinstance(f, float) else self.address(f) if isinstance(f, Ref) else f
            for f in launch.fields
        ]
        return self.wall(np.array(fields, np.int64))

    def address(self, ref: Ref) -> int:
        """Where the ref points."""
        if ref.buffer == FAULTS:
            return int(self.cell.ctypes.data)
        if ref.buffer not in self.placed:
            return 8  # nothing is touched through it
        return int(self.placed[ref.buffer].ctypes.data) - self.touched[ref.buffer][0] + ref.offset

    def array(self, operand: Operand) -> np.ndarray:
        """The elements of an output."""
        found = self.placed.get(operand.ref.buffer, self.buffers[operand.ref.buffer])
        return found.view(operand.dtype).reshape(operand.shape).copy()


def bound_between_walls(
    module: Family,
    specs: Sequence[KernelSpec],
    inputs: Sequence[np.ndarray | None],
    output: np.ndarray,
    attributes: Mapping[str, Any],
    target: str,
    packed: np.ndarray | None = None,
) -> Iterator[Bound]:
    """One operator with one output, bound to copies of the arrays before a page without access, then behind one.

    `packed` stands for input 1.
    """
    for wall in (guarded, guarded_before):
        yield Bound(
            module,
            specs,
            [None if x is None else wall(x) for x in inputs],
            [wall(output)],
            attributes,
            target,
            packed={} if packed is None else {1: wall(packed)},
            room=lambda nbytes, wall=wall: wall(np.full(-(-nbytes // 64) * 64, BRICK, np.uint8)),
        )


def library_of(specs: tuple[KernelSpec, ...], target: str) -> Library:
    """The specs' machine code, kept for the process."""
    if (specs, target) not in _libraries:
        _libraries[specs, target] = native(specs, target)
    return _libraries[specs, target]


def run(
    name: str,
    op: str,
    inputs: Sequence[np.ndarray | None],
    outputs: Sequence[tuple[Any, tuple[int, ...]]],
    attributes: Mapping[str, Any] | None = None,
    *,
    version: int = 22,
    team: int = 1,
    known: Sequence[int] = (),
    target: str = "",
) -> list[np.ndarray]:
    """The outputs (given as dtype and shape); `known` are the inputs whose elements the binder may look at.

    Computed twice, with what the launches say they touch before a page without access and behind one.  IndexError for
    an index outside its axis.
    """
    results: list[list[np.ndarray]] = []
    for wall in (guarded, guarded_before):
        call = bind(name, op, inputs, outputs, attributes, version=version, known=known, wall=wall)
        library = library_of(call.specs, target or host_targets()[0])
        call.memory.settle(call.launches)
        for launch in call.launches:
            block = call.memory.block(launch)
            for member in range(team):
                library.function(launch.symbol)(block.ctypes.data, member, team)
        if call.memory.cell[TAKEN]:
            raise IndexError(said(call.memory.cell.tolist()))
        results.append([call.memory.array(output) for output in call.outputs])
    for one, other in zip(*results, strict=True):
        assert one.tobytes() == other.tobytes(), "the result depends on where the operands lie"
    return results[0]


@dataclass(frozen=True)
class Call:
    """One operator, bound."""

    specs: tuple[KernelSpec, ...]
    memory: Memory
    outputs: list[Operand]
    launches: list[Launch]


def bind(
    name: str,
    op: str,
    inputs: Sequence[np.ndarray | None],
    outputs: Sequence[tuple[Any, tuple[int, ...]]],
    attributes: Mapping[str, Any] | None = None,
    *,
    version: int = 22,
    known: Sequence[int] = (),
    pack: bool = False,
    wall: Callable[[np.ndarray], np.ndarray] = guarded,
) -> Call:
    """An operator with its inputs in memory, `pack`ed where its family packs constants."""
    given = {**(attributes or {}), "op": op, "version": version}
    module: Any = family(name)
    assert op in module.OPERATORS
    packed = {slot: module.pack(slot, x, given) for slot, x in enumerate(inputs) if pack and x is not None}
    given["packed"] = tuple(slot for slot, stored in packed.items() if stored is not None)
    specs = module.select(op, version, [None if x is None else x.dtype for x in inputs], given)
    assert specs is not None, f"{name} does not serve {op} of {[None if x is None else x.dtype for x in inputs]}"
    memory = Memory(wall)
    placed = [None if x is None else memory.operand(x, i in known, packed.get(i)) for i, x in enumerate(inputs)]
    made = [Operand(np.dtype(d), s, memory.take(math.prod(s) * np.dtype(d).itemsize)) for d, s in outputs]
    launches = module.bind(placed, made, given, memory.take)
    hold(launches, made)
    assert all(launch.spec in specs for launch in launches), "bind launches what select did not name"
    return Call(specs, memory, made, launches)
