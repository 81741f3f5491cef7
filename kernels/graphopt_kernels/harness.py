"""Calling kernels on numpy arrays without a program: what tests and benchmarks do in place of the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Ref, float_field
from graphopt_kernels.bind import run
from graphopt_kernels.bind.table import Family
from graphopt_kernels.cache import native
from graphopt_kernels.faults import CELL_WORDS, FAULTS, TAKEN, said
from graphopt_kernels.reach.hold import hold
from graphopt_kernels.team import Table, Team


def aligned_room(nbytes: int) -> np.ndarray:
    """Memory of `nbytes` bytes that begins at a multiple of 64."""
    store = np.empty(nbytes + 64, np.uint8)
    skip = -store.ctypes.data % 64
    return store[skip : skip + nbytes]


class Bound:
    """One operator bound to arrays: `run(team)` computes `outputs` in place; `room` gives memory for scratch.

    ValueError where the arrays do not fit each other, IndexError from a run that met an index outside its axis.
    """

    def __init__(
        self,
        family: Family,
        specs: Sequence[KernelSpec],
        inputs: Sequence[np.ndarray | None],
        outputs: Sequence[np.ndarray],
        attributes: Mapping[str, Any],
        target: str,
        *,
        stamped: bool = False,
        packed: Mapping[int, np.ndarray] | None = None,
        room: Callable[[int], np.ndarray] = aligned_room,
    ) -> None:
        self.outputs = list(outputs)
        self._room = room
        self._kept: list[Any] = []
        self._cell = np.zeros(CELL_WORDS, np.int64)
        self.library = native((*run.SPECS, *specs), target)
        operands: list[Operand | None] = []
        for slot, array in enumerate(inputs):
            stored = (packed or {}).get(slot, array)
            operands.append(None if array is None or stored is None else self._operand(array, stored))
        results = [self._operand(array, array) for array in outputs]
        self.launches = family.bind(operands, results, attributes, self._scratch)
        hold(self.launches, results)
        self._teams: dict[int, Team] = {}
        self._rows = [self._row(launch) for launch in self.launches]
        self.table = Table(self._rows, stamped=stamped)

    def run(self, size: int = 1) -> list[np.ndarray]:
        """Compute with a team of `size` threads; gives the outputs."""
        if size not in self._teams:
            self._teams[size] = Team(self.library, size)  # its threads end with this object
        self._teams[size].run(self.table)
        self._told()
        return self.outputs

    def run_in_turn(self, size: int) -> list[np.ndarray]:
        """What a team of `size` computes, member after member on the calling thread: for teams larger than machines."""
        for launch, (_, block, _) in zip(self.launches, self._rows, strict=True):
            kernel = self.library.function(launch.symbol)
            for member in range(size):
                kernel(block, member, size)
        self._told()
        return self.outputs

    def _told(self) -> None:
        if self._cell[TAKEN]:
            told = said(self._cell.tolist())
            self._cell[TAKEN] = 0
            raise IndexError(told)

    def _operand(self, array: np.ndarray, stored: np.ndarray) -> Operand:
        if not stored.flags.c_contiguous:
            raise ValueError("operands are C-contiguous")
        self._kept.append(stored)
        return Operand(array.dtype, array.shape, Ref.to(stored.ctypes.data, 0, stored.nbytes), array)

    def _scratch(self, nbytes: int) -> Ref:
        room = self._room(nbytes)
        self._kept.append(room)
        return Ref.to(room.ctypes.data, 0, nbytes)

    def _row(self, launch: Launch) -> tuple[int, int, bool]:
        fields = [self._word(x) for x in launch.fields]
        block = np.array(fields, np.int64)
        self._kept.append(block)
        return (self.library.address(launch.symbol), block.ctypes.data, False)

    def _word(self, value: int | float | Ref) -> int:
        """A field as the block carries it; here a `Ref`'s buffer is an absolute address."""
        match value:
            case Ref(buffer=buffer, offset=offset):
                return (self._cell.ctypes.data if buffer == FAULTS else buffer) + offset
            case float():
                return float_field(value)
            case _:
                return value
