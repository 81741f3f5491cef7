"""Calling kernels on numpy arrays without a program: what tests and benchmarks do in place of the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Ref, float_field
from graphopt_kernels.bind import run
from graphopt_kernels.bind.table import Family
from graphopt_kernels.cache import native
from graphopt_kernels.team import Table, Team


class Bound:
    """One operator bound to arrays: `run(team)` computes `outputs` in place."""

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
    ) -> None:
        self.outputs = list(outputs)
        self._kept: list[Any] = []
        self.library = native((*run.SPECS, *specs), target)
        operands: list[Operand | None] = []
        for slot, array in enumerate(inputs):
            stored = (packed or {}).get(slot, array)
            operands.append(None if array is None or stored is None else self._operand(array, stored))
        results = [self._operand(array, array) for array in outputs]
        self.launches = family.bind(operands, results, attributes, self._scratch)
        self._teams: dict[int, Team] = {}
        self._rows = [self._row(launch) for launch in self.launches]
        self.table = Table(self._rows, stamped=stamped)

    def run(self, size: int = 1) -> list[np.ndarray]:
        """Compute with a team of `size` threads; gives the outputs."""
        if size not in self._teams:
            self._teams[size] = Team(self.library, size)  # its threads end with this object
        self._teams[size].run(self.table)
        return self.outputs

    def run_in_turn(self, size: int) -> list[np.ndarray]:
        """What a team of `size` computes, member after member on the calling thread: for teams larger than machines."""
        for launch, (_, block, _) in zip(self.launches, self._rows, strict=True):
            kernel = self.library.function(launch.symbol)
            for member in range(size):
                kernel(block, member, size)
        return self.outputs

    def _operand(self, array: np.ndarray, stored: np.ndarray) -> Operand:
        if not stored.flags.c_contiguous:
            raise ValueError("operands are C-contiguous")
        self._kept.append(stored)
        return Operand(array.dtype, array.shape, Ref(stored.ctypes.data), array)

    def _scratch(self, nbytes: int) -> Ref:
        words = np.empty(nbytes // 8 + 16, np.int64)
        self._kept.append(words)
        return Ref((words.ctypes.data + 63) // 64 * 64)

    def _row(self, launch: Launch) -> tuple[int, int, bool]:
        fields = [_word(x) for x in launch.fields]
        block = np.array(fields, np.int64)
        self._kept.append(block)
        return (self.library.address(launch.symbol), block.ctypes.data, False)


def _word(value: int | float | Ref) -> int:
    """A field as the block carries it; here a `Ref`'s buffer is an absolute address."""
    match value:
        case Ref():
            return value.buffer + value.offset
        case float():
            return float_field(value)
        case _:
            return value
