"""Runs a kernel family on numpy arrays: selects, emits, binds, launches every member of a team in turn.

Each array lies in a buffer of its own between two walls; a kernel that writes beyond its array breaks one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Operand, Ref, float_field
from graphopt_kernels.bind.table import family
from graphopt_kernels.cache import native
from graphopt_kernels.load import Library
from graphopt_kernels.targets import host_targets

WALL, BRICK = 128, 0xA5
_libraries: dict[tuple[tuple[KernelSpec, ...], str], Library] = {}


class Memory:
    """Buffers by number, with walls."""

    def __init__(self) -> None:
        self.buffers: list[np.ndarray] = []
        self.sizes: list[int] = []

    def take(self, nbytes: int) -> Ref:
        """A buffer of that many bytes, filled with bricks, aligned to 64."""
        raw = np.full(nbytes + 2 * WALL + 64, BRICK, np.uint8)
        start = -raw.ctypes.data % 64
        self.buffers.append(raw[start : start + nbytes + 2 * WALL])
        self.sizes.append(nbytes)
        return Ref(len(self.buffers) - 1)

    def bytes_of(self, ref: Ref) -> np.ndarray:
        """The bytes between the walls."""
        return self.buffers[ref.buffer][WALL : WALL + self.sizes[ref.buffer]]

    def operand(self, array: np.ndarray, known: bool) -> Operand:
        """The array, placed; its elements are `value` too where they are known when binding."""
        ref = self.take(array.nbytes)
        self.bytes_of(ref)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        return Operand(array.dtype, array.shape, ref, array if known else None)

    def address(self, ref: Ref) -> int:
        """Where the ref points."""
        return int(self.bytes_of(ref).ctypes.data) + ref.offset

    def check_walls(self) -> None:
        """AssertionError where something wrote beyond a buffer."""
        for buffer, size in zip(self.buffers, self.sizes, strict=True):
            assert (buffer[:WALL] == BRICK).all(), "written before a buffer"
            assert (buffer[WALL + size :] == BRICK).all(), "written behind a buffer"


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
    """The outputs (given as dtype and shape); `known` are the inputs whose elements the binder may look at."""
    given = dict(attributes or {})
    dtypes = [None if x is None else x.dtype for x in inputs]
    module = family(name)
    assert op in module.OPERATORS
    specs = module.select(op, version, dtypes, given)
    assert specs is not None, f"{name} does not serve {op} of {dtypes}"
    target = target or host_targets()[0]
    library = library_of(specs, target)
    memory = Memory()
    placed = [None if x is None else memory.operand(x, i in known) for i, x in enumerate(inputs)]
    made = [Operand(np.dtype(d), s, memory.take(int(np.prod(s)) * np.dtype(d).itemsize)) for d, s in outputs]
    launches = module.bind(placed, made, {**given, "op": op, "version": version}, memory.take)
    symbols = {spec.symbol for spec in specs}
    for launch in launches:
        assert launch.symbol in symbols, "bind launches what select did not name"
        fields = [
            float_field(f) if isinstance(f, float) else memory.address(f) if isinstance(f, Ref) else f
            for f in launch.fields
        ]
        block = np.array(fields, np.int64)
        for member in range(team):
            library.function(launch.symbol)(block.ctypes.data, member, team)
    memory.check_walls()
    return [memory.bytes_of(o.ref).view(o.dtype).reshape(o.shape).copy() for o in made]
