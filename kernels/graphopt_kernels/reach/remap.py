"""What a remapping copy touches (`cpu/remap.py`): of the source, every place that its tables name."""

from __future__ import annotations

import math
from itertools import accumulate, pairwise

from graphopt_kernels.reach.block import Block, Reach, flat, require

SOURCE, TARGET, RANK, ROWS, SIZES = range(5)


def reach(block: Block) -> list[Reach]:
    """Source by the tables, the whole target."""
    size, rank, rows = int(block.spec["size"]), block.count(RANK, 1), block.count(ROWS, 1)
    require(len(block) >= SIZES + rank, "a remapping has fewer sizes than axes")
    extents = block.counts(range(SIZES, SIZES + rank), 1)
    require(rows == math.prod(extents[1:]), f"a remapping counts {rows} rows where its sizes are {list(extents)}")
    tables = SIZES + rank
    block.words(tables + sum(extents))
    starts = [tables, *(tables + end for end in accumulate(extents))]
    low = high = 0
    for axis, (start, end) in enumerate(pairwise(starts)):
        table = [block.number(field) for field in range(start, end)]
        if axis == 0 and block.spec["whole"]:
            table = [table[0], table[0] + extents[0] - 1]
        low, high = low + min(table), high + max(table)
    return [Reach(SOURCE, low * size, (high + 1) * size), flat(TARGET, rows * extents[0] * size)]
