"""What the sum of a transposed convolution's columns touches (`cpu/col2im.py`)."""

from __future__ import annotations

import numpy as np

from graphopt_kernels.bind import convolution as f
from graphopt_kernels.reach.block import Block, Reach, flat
from graphopt_kernels.reach.convolution import addends, shape_of


def reach(block: Block) -> list[Reach]:
    """All columns, the whole output, bias and residual."""
    shape, size = shape_of(block), np.dtype(str(block.spec["dtype"])).itemsize
    number, outputs = block.counts((f.N, f.ALL_OUTPUTS), 1)
    columns, made = number * outputs * shape.inside * shape.taps * size, number * outputs * shape.pixels * size
    return [flat(f.COLUMNS, columns), flat(f.Y, made), *addends(block, outputs * size, made)]
