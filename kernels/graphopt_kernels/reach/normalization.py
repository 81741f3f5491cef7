"""What a normalization touches (`cpu/normalization.py`)."""

from __future__ import annotations

import numpy as np

from graphopt_kernels.reach.block import Block, Reach, flat, require

ROWS, LENGTH, SEGMENT, PERIOD, INPUT, OUTPUT, SCALE, BIAS, MEAN, INVERSE, EPSILON, WORDS = range(12)


def reach(block: Block) -> list[Reach]:
    """Whole rows; scale and bias once a row or once a period; what is told of each row."""
    block.words(WORDS)
    size = np.dtype(str(block.spec["dtype"])).itemsize
    rows, length, segment, period = block.counts((ROWS, LENGTH, SEGMENT, PERIOD), 1)
    numbers = length
    if block.spec["affine"] != "elements":
        require(length % segment == 0, f"rows of {length} elements do not fall into segments of {segment}")
        numbers = min(period, rows * (length // segment))
    found = [flat(INPUT, rows * length * size), flat(OUTPUT, rows * length * size), flat(SCALE, numbers * size)]
    if int(block.spec["biased"]):
        found.append(flat(BIAS, numbers * size))
    return [*found, *(flat(field, 4 * rows) for field in (MEAN, INVERSE) if block.given(field))]
