"""Reporting an index outside its axis; `graphopt_kernels/faults.py` says what a cell holds."""

from __future__ import annotations

from graphopt_kernels import faults
from graphopt_kernels.cpu.atomics import atomic_add
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.memory import int_at, set_int

TAKEN, BLOCK, INDEX, AXIS, LENGTH = faults.TAKEN, faults.BLOCK, faults.INDEX, faults.AXIS, faults.LENGTH


@device
def report(cell: int, block: int, index: int, axis: int, length: int) -> None:
    """Take the cell unless somebody has, and say there which index is outside which axis."""
    if int_at(cell, TAKEN) == 0 and atomic_add(cell, 1) == 0:
        set_int(cell, BLOCK, block)
        set_int(cell, INDEX, index)
        set_int(cell, AXIS, axis)
        set_int(cell, LENGTH, length)
