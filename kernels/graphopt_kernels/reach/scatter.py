"""What a scatter touches (`cpu/scatter.py`): of the target, every place that some index inside its axes may name."""

from __future__ import annotations

import numpy as np

from graphopt_kernels.faults import CELL_WORDS
from graphopt_kernels.reach.block import Block, Reach, flat, nest

TARGET, INDICES, UPDATES, FAULT, AXIS, COUNT = range(6)
WIDTH, PARTS, AXES = range(6, 9)
LENGTH, STRIDE, RANK, EXTENTS = range(6, 10)


def reach(block: Block) -> list[Reach]:
    """Target, indices, updates and the cell for faults."""
    size, index = (np.dtype(str(block.spec[name])).itemsize for name in ("dtype", "index"))
    count, cell = block.count(COUNT, 1), flat(FAULT, 8 * CELL_WORDS)
    block.number(AXIS)
    if block.spec["mode"] == "elements":
        rank = block.count(RANK)
        block.words(EXTENTS + 2 * rank)
        dims = [(block.count(LENGTH, 1), block.number(STRIDE)), *block.dims(EXTENTS, rank)]
        return [nest(TARGET, size, dims), flat(INDICES, count * index), flat(UPDATES, count * size), cell]
    width, parts = block.count(WIDTH), block.count(PARTS)
    block.words(AXES + 2 * parts)
    places = nest(TARGET, size, block.dims(AXES, parts), width)
    return [places, flat(INDICES, count * parts * index), flat(UPDATES, count * width * size), cell]
