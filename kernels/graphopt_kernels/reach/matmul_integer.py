"""What an integer product touches (`cpu/matmul_integer.py`)."""

from __future__ import annotations

from graphopt_kernels.bind import matmul_integer as f
from graphopt_kernels.reach.block import Block, Reach, flat, nest


def reach(block: Block) -> list[Reach]:
    """A and B by their batch strides, C whole, zero points by their strides."""
    block.words(f.WORDS)
    m, n, batch = block.counts((f.M, f.N, f.BATCH), 1)
    k = block.count(f.K)
    found = [
        nest(f.A, 1, [(batch, block.number(f.A_BATCH))], m * k),
        nest(f.B, 1, [(batch, block.number(f.B_BATCH))], k * n),
        flat(f.C, batch * m * n * 4),
    ]
    zeros = ((f.A_ZERO, m, f.A_ZERO_ROW), (f.B_ZERO, n, f.B_ZERO_COLUMN))
    return [*found, *(nest(z, 1, [(count, block.number(step))]) for z, count, step in zeros if block.given(z))]
