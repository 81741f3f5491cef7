"""Runs a kernel family on numpy arrays: selects, emits, binds, launches every member of a team in turn.

Each array lies in a buffer of its own between two pages that nobody may touch: a kernel that reads or writes beyond its
array ends the process.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Ref, float_field
from graphopt_kernels.bind.table import Family, bind, family
from graphopt_kernels.cache import native
from graphopt_kernels.faults import CELL_WORDS, FAULTS, TAKEN, said
from graphopt_kernels.harness import Bound
from graphopt_kernels.load import Library
from graphopt_kernels.targets import host_targets
from tests.walls import guarded, guarded_before

BRICK = 0xA5
_libraries: dict[tuple[tuple[KernelSpec, ...], str], Library] = {}


class Memory:
    """Buffers by number, each between pages without access.

    The wall is `guarded` or `guarded_before`: whether a buffer ends where the second page begins, or begins where the
    first one ends.  What lies on the other side is filled with bricks.
    """

    def __init__(self, wall: Callable[[np.ndarray], np.ndarray]) -> None:
        self.wall = wall
        self.buffers: list[np.ndarray] = []
        self.cell = wall(np.zeros(CELL_WORDS, np.int64))

    def take(self, nbytes: int) -> Ref:
        """A buffer of that many bytes, filled with bricks."""
        self.buffers.append(self.wall(np.full(nbytes, BRICK, np.uint8)))
        return Ref.to(len(self.buffers) - 1, 0, nbytes)

    def scratch(self, nbytes: int) -> Ref:
        """A buffer that is aligned to 64 and may be longer than what may be touched."""
        return Ref.to(self.take(-(-nbytes // 64) * 64).buffer, 0, nbytes)

    def bytes_of(self, ref: Ref) -> np.ndarray:
        """The bytes of an operand."""
        return self.buffers[ref.buffer][ref.begin : ref.end]

    def operand(self, array: np.ndarray, known: bool) -> Operand:
        """The array, placed; its elements are `value` too where they are known when binding."""
        ref = self.take(array.nbytes)
        self.bytes_of(ref)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return Operand(array.dtype, array.shape, ref, array if known else None)

    def block(self, launch: Launch) -> np.ndarray:
        """The argument block of a launch."""
        fields = [
            float_field(f) if isinstance(f, float) else self.address(f) if isinstance(f, Ref) else f
            for f in launch.fields
        ]
        return self.wall(np.array(fields, np.int64))

    def address(self, ref: Ref) -> int:
        """Where the ref points."""
        buffer = self.cell if ref.buffer == FAULTS else self.buffers[ref.buffer]
        return int(buffer.ctypes.data) + ref.offset


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

    Computed twice, with the operands before a page without access and behind one.  IndexError for an index outside.
    """
    given = dict(attributes or {})
    dtypes = [None if x is None else x.dtype for x in inputs]
    module = family(name)
    assert op in module.OPERATORS
    specs = module.select(op, version, dtypes, given)
    assert specs is not None, f"{name} does not serve {op} of {dtypes}"
    library = library_of(specs, target or host_targets()[0])
    results: list[list[np.ndarray]] = []
    for wall in (guarded, guarded_before):
        memory = Memory(wall)
        placed = [None if x is None else memory.operand(x, i in known) for i, x in enumerate(inputs)]
        made = [Operand(np.dtype(d), s, memory.take(math.prod(s) * np.dtype(d).itemsize)) for d, s in outputs]
        launches = bind(name, placed, made, {**given, "op": op, "version": version}, memory.scratch)
        for launch in launches:
            assert launch.spec in specs, "bind launches what select did not name"
            block = memory.block(launch)
            for member in range(team):
                library.function(launch.symbol)(block.ctypes.data, member, team)
        if memory.cell[TAKEN]:
            raise IndexError(said(memory.cell.tolist()))
        results.append([memory.bytes_of(o.ref).view(o.dtype).reshape(o.shape).copy() for o in made])
    for one, other in zip(*results, strict=True):
        assert one.tobytes() == other.tobytes(), "the result depends on where the operands lie"
    return results[0]
