"""What the packing of a matrix touches (`cpu/matmul_pack.py`)."""

from __future__ import annotations

import numpy as np

from graphopt_kernels.bind import matmul as f
from graphopt_kernels.reach.block import Block, Reach, flat, nest


def reach(block: Block) -> list[Reach]:
    """The source by its strides, whole panels of the target."""
    block.words(f.PACK_WORDS)
    dtype = np.dtype(str(block.spec["dtype"]))
    k, (n, count) = block.count(f.PACK_K), block.counts((f.PACK_N, f.PACK_COUNT), 1)
    row, column, batch = (block.number(field) for field in (f.PACK_ROW, f.PACK_COLUMN, f.PACK_BATCH))
    panel = f.panel_columns(dtype)
    source = nest(f.PACK_SOURCE, dtype.itemsize, [(count, batch), (k, row), (n, column)])
    return [source, flat(f.PACK_TARGET, count * -(-n // panel) * k * panel * dtype.itemsize)]
