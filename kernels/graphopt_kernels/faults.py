"""Where kernels that index by data report an index outside its axis.

A caller gives such launches one *cell* of int64 words, all 0 before a run.  A kernel that meets an index outside its
axis touches nothing outside its operands, takes the cell if nobody has, and goes on.  Whoever ran the launches looks at
the cell's first word: where it is not 0, what they computed means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphopt_kernels.abi import Ref

FAULTS = -1
"""The number of the buffer that holds the cell."""
TAKEN, BLOCK, INDEX, AXIS, LENGTH = range(5)
"""Words of a cell: how many members wanted it, and of the first of them the address of its argument block, the index as
it was given, the axis and its size."""
CELL_WORDS = 8
CELL = Ref.to(FAULTS, 0, 8 * CELL_WORDS)
"""The field of a launch that reports."""


def said(cell: Sequence[int], operand: str = "") -> str:
    """What a taken cell tells, as half a sentence, of indices in the operand of that name."""
    where = f" in {operand!r}" if operand else ""
    return f"an index of {cell[INDEX]}{where} is outside axis {cell[AXIS]} of size {cell[LENGTH]}"
