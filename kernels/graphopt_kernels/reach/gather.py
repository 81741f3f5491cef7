"""What a gather touches (`cpu/gather.py`): of the data, all that some index inside its axes may pick."""

from __future__ import annotations

import numpy as np

from graphopt_kernels.faults import CELL_WORDS
from graphopt_kernels.reach.block import Block, Reach, flat, nest

DATA, INDICES, TARGET, FAULT, AXIS, COUNT = range(6)
WIDTH, PARTS, PER_BATCH, BATCH_STRIDE, REPEATS, AXES = range(6, 12)
LENGTH, STRIDE, RANK, EXTENTS = range(6, 10)


def reach(block: Block) -> list[Reach]:
    """Data, indices, target and the cell for faults."""
    size, index = int(block.spec["size"]), np.dtype(str(block.spec["index"])).itemsize
    count, cell = block.count(COUNT, 1), flat(FAULT, 8 * CELL_WORDS)
    block.number(AXIS)
    if block.spec["mode"] == "elements":
        rank = block.count(RANK)
        block.words(EXTENTS + 2 * rank)
        dims = [(block.count(LENGTH, 1), block.number(STRIDE)), *block.dims(EXTENTS, rank)]
        return [nest(DATA, size, dims), flat(INDICES, count * index), flat(TARGET, count * size), cell]
    width, parts = block.count(WIDTH), block.count(PARTS)
    per_batch, repeats = block.counts((PER_BATCH, REPEATS), 1)
    block.words(AXES + 2 * parts)
    batches = (count - 1) // per_batch + 1
    dims = [(batches, block.number(BATCH_STRIDE)), *block.dims(AXES, parts)]
    picked = min(count, repeats) * parts
    return [nest(DATA, size, dims, width), flat(INDICES, picked * index), flat(TARGET, count * width * size), cell]
