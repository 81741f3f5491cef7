"""What a pooling touches (`cpu/pooling.py`)."""

from __future__ import annotations

import math

import numpy as np

from graphopt_kernels.reach.block import Block, Reach, flat, require

PLANES, INPUT, OUTPUT, INDICES, COLUMNS_FIRST, PADDED, AXES = range(7)
IN, OUT, KERNEL, STRIDE, DILATION, BEFORE, AFTER, AXIS_WORDS = range(8)
SPARE = 1 << 20
"""Positions of a window beyond the elements of a plane: they touch nothing, but each takes its time."""
FARTHEST = 1 << 40
"""Elements from the input's beginning to a window's end along an axis: far from where an int64 wraps."""


def reach(block: Block) -> list[Reach]:
    """Whole planes: a window that hangs over the sides reads what there is."""
    block.words(AXES + 3 * AXIS_WORDS)
    size, planes = np.dtype(str(block.spec["dtype"])).itemsize, block.count(PLANES, 1)
    for field in (COLUMNS_FIRST, PADDED):
        block.number(field)
    starts = range(AXES, AXES + 3 * AXIS_WORDS, AXIS_WORDS)
    for start in starts:
        block.count(start + IN)
        out, kernel, stride, dilation = block.counts(range(start + OUT, start + DILATION + 1), 1)
        sides = max(abs(block.number(start + BEFORE)), abs(block.number(start + AFTER)))
        far = out * stride + kernel * dilation + sides + block.number(start + IN)
        require(far <= FARTHEST, f"windows of a pooling reach over {far} elements")
    inside, results, window = (math.prod(block.number(s + f) for s in starts) for f in (IN, OUT, KERNEL))
    require(window <= inside + SPARE, f"a window of {window} positions looks at {inside} elements")
    found = [flat(INPUT, planes * inside * size), flat(OUTPUT, planes * results * size)]
    return [*found, flat(INDICES, planes * results * 8)] if block.given(INDICES) else found
