"""What a reduction touches (`cpu/reduction.py`)."""

from __future__ import annotations

import math

import numpy as np

from graphopt_kernels.reach.block import Block, Reach, flat, nest, require

KEPT_RANK, REDUCED_RANK, KEPT, COMBINATIONS, LENGTH, STEP, COLUMNS, INPUT, OUTPUT, NUMBER, DIMENSIONS = range(11)


def reach(block: Block) -> list[Reach]:
    """The input by its strides; of the output one element for each that is kept."""
    size, by_rows = np.dtype(str(block.spec["dtype"])).itemsize, block.spec["layout"] == "rows"
    kept_rank, reduced_rank = block.counts((KEPT_RANK, REDUCED_RANK))
    block.words(DIMENSIONS + 2 * (kept_rank + reduced_rank))
    kept, combinations, length = block.counts((KEPT, COMBINATIONS, LENGTH))
    block.count(NUMBER)
    columns = 1 if by_rows else block.count(COLUMNS, 1)
    step = 1 if by_rows else block.number(STEP)
    outer = block.dims(DIMENSIONS, kept_rank + reduced_rank)
    every = [math.prod(n for n, _ in dims) for dims in (outer[:kept_rank], outer[kept_rank:])]
    require([kept, combinations] == every, f"a reduction counts {kept} by {combinations} where its sizes give {every}")
    inner = [*outer[kept_rank:], (length, step)]
    require(all(step for n, step in inner if n > 1), "a reduction reads one place again and again")
    touched = nest(INPUT, size, [*outer, (length, step)], columns)
    return [touched, flat(OUTPUT, kept * columns * size)]
