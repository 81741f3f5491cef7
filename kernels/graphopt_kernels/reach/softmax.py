"""What a softmax touches (`cpu/softmax.py`)."""

from __future__ import annotations

import numpy as np

from graphopt_kernels.reach.block import Block, Reach, flat, require

OUTER, LENGTH, INNER, INPUT, OUTPUT, WORDS = range(6)


def reach(block: Block) -> list[Reach]:
    """All of the input and of the output."""
    block.words(WORDS)
    outer, length, inner = block.counts((OUTER, LENGTH, INNER), 1)
    require(block.spec["layout"] != "rows" or inner == 1, f"rows lie {inner} elements apart in a softmax along rows")
    nbytes = outer * length * inner * np.dtype(str(block.spec["dtype"])).itemsize
    return [flat(INPUT, nbytes), flat(OUTPUT, nbytes)]
