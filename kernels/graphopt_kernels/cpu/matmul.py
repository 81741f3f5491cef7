"""The blocked matrix product around the register tile; the block's fields are named in `bind/matmul.py`.

k is cut into blocks whose rows of B stay in the second-level cache, m into blocks whose rows of A do; a tile adds to
what C holds from the block of k before.  Members share the columns, the rows or the batch, whichever has the most to
share; none of this changes the order in which an element's products are added.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphopt_kernels.abi import KernelSpec, float_field
from graphopt_kernels.bind import matmul as f
from graphopt_kernels.cpu import tile as t
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.tile import make_tile, tile_shape
from graphopt_kernels.cpu.words import put_word, stack_words, word_at
from graphopt_kernels.targets import Target

K_BLOCK = 1024
FEW_ROWS, DIRECT_K_BLOCK = 8, 16
"""Rows of an unpacked B that are walked together, for one or two rows of A and for more: each lies on other pages, and
the prefetcher follows few."""
ROW_BLOCK = 96
LOWEST, HIGHEST = float_field(-math.inf), float_field(math.inf)


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The product for `spec["dtype"]`."""
    dtype = spec["dtype"]
    itemsize = 4 if dtype == "float32" else 8
    shape = tile_shape(target, itemsize)
    direct_tile = make_tile(shape, dtype, masked=True)
    # where masked loads are as fast as plain ones, one set of tiles serves both
    tile = direct_tile if shape.masked_rows == shape.rows else make_tile(shape, dtype, masked=False)
    descriptor = stack_words(t.DESCRIPTOR_WORDS)
    most, most_direct, columns, panel = shape.rows, shape.masked_rows, shape.columns, shape.panel
    rank = f.BATCH_RANK

    @device
    def offset(block: int, index: int, strides: int) -> int:
        """Where operand data of one batch begin, in elements."""
        place = 0
        for d in range(rank - 1, -1, -1):
            size = word_at(block, f.SIZES + d)
            place += (index % size) * word_at(block, strides + d)
            index //= size
        return place

    @device
    def product(block: int, index: int, m0: int, m1: int, n0: int, n1: int) -> None:
        """Rows m0..m1, columns n0..n1 (n0 a multiple of a panel) of one product of the batch."""
        n, k = word_at(block, f.N), word_at(block, f.K)
        a_row, a_column = word_at(block, f.A_ROW) * itemsize, word_at(block, f.A_COLUMN) * itemsize
        packed = word_at(block, f.PACKED)
        b_row = itemsize * panel if packed != 0 else word_at(block, f.B_ROW) * itemsize
        a = word_at(block, f.A) + offset(block, index, f.A_BATCH) * itemsize
        b = word_at(block, f.B) + offset(block, index, f.B_BATCH) * itemsize
        c = word_at(block, f.C) + index * word_at(block, f.M) * n * itemsize
        bias, residual = word_at(block, f.BIAS), word_at(block, f.RESIDUAL)
        bias_row, bias_column = word_at(block, f.BIAS_ROW) * itemsize, word_at(block, f.BIAS_COLUMN) * itemsize
        residual_row = word_at(block, f.RESIDUAL_ROW) * itemsize
        if bias != 0:
            bias += offset(block, index, f.BIAS_BATCH) * itemsize
        if residual != 0:
            residual += index * word_at(block, f.M) * n * itemsize
        d = descriptor()
        put_word(d, t.A_ROW, a_row)
        put_word(d, t.A_STEP, a_column)
        put_word(d, t.B_STEP, b_row)
        put_word(d, t.C_ROW, n * itemsize)
        put_word(d, t.BIAS_ROW, bias_row)
        put_word(d, t.BIAS_COLUMN, bias_column)
        put_word(d, t.RESIDUAL_ROW, residual_row)
        put_word(d, t.RESIDUAL_COLUMN, itemsize)
        put_word(d, t.BIAS, 0)
        put_word(d, t.BIAS_SCALE, word_at(block, f.BIAS_SCALE))
        put_word(d, t.RESIDUAL, 0)
        direct_block = DIRECT_K_BLOCK if m1 - m0 > 2 else FEW_ROWS
        k_block = K_BLOCK if packed != 0 else direct_block
        limit = most if packed != 0 else most_direct
        k0 = 0
        while True:
            k1 = min(k0 + k_block, k)
            put_word(d, t.K, k1 - k0)
            put_word(d, t.ACCUMULATE, 1 if k0 > 0 else 0)
            put_word(d, t.LOW, word_at(block, f.LOW) if k1 == k else LOWEST)
            put_word(d, t.HIGH, word_at(block, f.HIGH) if k1 == k else HIGHEST)
            for mb in range(m0, m1, ROW_BLOCK):
                me = min(mb + ROW_BLOCK, m1)
                tiles = (me - mb + limit - 1) // limit
                for j in range(n0, n1, columns):
                    put_word(d, t.COUNT, min(n1 - j, columns))
                    if packed != 0:
                        put_word(d, t.B, b + ((j // panel) * k * panel + k0 * panel + j % panel) * itemsize)
                    else:
                        put_word(d, t.B, b + k0 * b_row + j * itemsize)
                    for i in range(tiles):
                        r0 = mb + (me - mb) * i // tiles
                        r1 = mb + (me - mb) * (i + 1) // tiles
                        put_word(d, t.A, a + r0 * a_row + k0 * a_column)
                        put_word(d, t.C, c + (r0 * n + j) * itemsize)
                        if k0 == 0:
                            if bias != 0:
                                put_word(d, t.BIAS, bias + r0 * bias_row + j * bias_column)
                            if residual != 0:
                                put_word(d, t.RESIDUAL, residual + r0 * residual_row + j * itemsize)
                        if packed != 0:
                            tile(d, r1 - r0)
                        else:
                            direct_tile(d, r1 - r0)
            put_word(d, t.BIAS, 0)
            put_word(d, t.RESIDUAL, 0)
            k0 = k1
            if k0 >= k:
                break

    def matmul(block: int, member: int, team: int) -> None:
        m, n = word_at(block, f.M), word_at(block, f.N)
        batch = word_at(block, f.BATCH)
        panels = (n + panel - 1) // panel
        rows = (m + most - 1) // most
        i0, i1, m0, m1, n0, n1 = 0, batch, 0, m, 0, n
        if batch >= 2 * team or (batch >= panels and batch >= rows):
            i0, i1 = batch * member // team, batch * (member + 1) // team
        elif panels >= rows:
            n0, n1 = panels * member // team * panel, min(panels * (member + 1) // team * panel, n)
        else:
            m0, m1 = rows * member // team * most, min(rows * (member + 1) // team * most, m)
        if m0 < m1 and n0 < n1:
            for index in range(i0, i1):
                product(block, index, m0, m1, n0, n1)

    return matmul
