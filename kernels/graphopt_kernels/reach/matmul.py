"""What a matrix product touches (`cpu/matmul.py`)."""

from __future__ import annotations

import math

import numpy as np

from graphopt_kernels.bind import matmul as f
from graphopt_kernels.reach.block import Block, Reach, flat, nest, require


def reach(block: Block) -> list[Reach]:
    """A and B by their strides, B in whole panels where it is packed; C and the residual whole."""
    block.words(f.WORDS)
    dtype = np.dtype(str(block.spec["dtype"]))
    size, panel = dtype.itemsize, f.panel_columns(dtype)
    m, n = block.counts((f.M, f.N), 1)
    k, batch = block.count(f.K), block.count(f.BATCH, 1)
    sizes = block.counts(range(f.SIZES, f.SIZES + f.BATCH_RANK), 1)
    require(batch == math.prod(sizes), f"a batch of {batch} products has the sizes {list(sizes)}")

    def along(strides: int, *inner: tuple[int, int]) -> list[tuple[int, int]]:
        return [*((s, block.number(strides + i)) for i, s in enumerate(sizes)), *inner]

    a_row, a_column, b_row = (block.number(field) for field in (f.A_ROW, f.A_COLUMN, f.B_ROW))
    require(k < 2 or a_column != 0, "a product reads one place of A again and again")
    if block.number(f.PACKED):
        b = nest(f.B, size, along(f.B_BATCH), -(-n // panel) * k * panel)
    else:
        b = nest(f.B, size, along(f.B_BATCH, (k, b_row)), n)
    found = [nest(f.A, size, along(f.A_BATCH, (m, a_row), (k, a_column))), b, flat(f.C, batch * m * n * size)]
    if block.given(f.BIAS):
        row, column = block.number(f.BIAS_ROW), block.number(f.BIAS_COLUMN)
        require(column in (0, 1), f"the columns of a bias lie {column} elements apart")
        found.append(nest(f.BIAS, size, along(f.BIAS_BATCH, (m, row), (n, column))))
    if block.given(f.RESIDUAL):
        found.append(nest(f.RESIDUAL, size, [(batch, m * n), (m, block.number(f.RESIDUAL_ROW)), (n, 1)]))
    return found
