"""Strided copies of elements of one size: what moves data without looking at it.

The block (see `bind/copy.py`):

    target  source  mode  outer_rank  {size  target_stride  source_stride}[1 + 1 + outer_rank]

The first triple is the innermost loop ("columns"), the second the loop around it ("rows"), then the outer ones,
innermost first.  Strides are in elements and may be 0 (repeat the source) or negative (addresses are those of index 0).

    mode 0   rows: any strides; contiguous columns are copied as bytes
    mode 1   a transposition: columns are contiguous in the target, rows in the source; done in tiles
    mode 2   a fill: as mode 0, but the field `source` holds the element itself
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import device, intrinsic
from graphopt_kernels.cpu.lanes import WIDTH, load_lanes, store_lanes
from graphopt_kernels.cpu.memory import copy_bytes, int_at, loader, share_low, storer
from graphopt_kernels.targets import Target

TILE = WIDTH
_ELEMENT = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.int64}


def _turning(size: int) -> Any:
    """`turn(to, to_row, of, of_column)`: a full tile, transposed in registers; distances in bytes.

    Vectors i and i + d exchange their lanes that differ in bit d, for d = 1, 2, 4, 8.
    """
    dtype, word = f"int{8 * size}", ir.IntType(64)

    @intrinsic
    def turn(typing: Any, to: Any, to_row: Any, of: Any, of_column: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            def at(base: Any, step: Any, index: int) -> Any:
                return builder.add(base, builder.mul(step, ir.Constant(word, index)))

            lanes = [load_lanes(builder, at(args[2], args[3], i), dtype) for i in range(WIDTH)]
            values = [vector.value for vector in lanes]
            mask = ir.VectorType(ir.IntType(32), WIDTH)
            for d in (1, 2, 4, 8):
                low = ir.Constant(mask, [j if not j & d else WIDTH + j - d for j in range(WIDTH)])
                high = ir.Constant(mask, [j + d if not j & d else WIDTH + j for j in range(WIDTH)])
                for i in range(WIDTH):
                    if not i & d:
                        a, b = values[i], values[i + d]
                        values[i] = builder.shuffle_vector(a, b, low)
                        values[i + d] = builder.shuffle_vector(a, b, high)
            for i, value in enumerate(values):
                store_lanes(replace(lanes[i], value=value), at(args[0], args[1], i))
            return context.get_dummy_value()

        return signature(types.void, *[types.int64] * 4), generate

    return turn


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The copy for elements of `spec["size"]` bytes: 1, 2, 4 or 8."""
    size = int(spec["size"])
    load, store, turn = loader(_ELEMENT[size]), storer(_ELEMENT[size]), _turning(size)

    @device
    def source_of(block: int) -> int:
        return block + 8 if int_at(block, 2) == 2 else int_at(block, 1)

    @device
    def offset(block: int, outer: int, field: int) -> int:
        """Bytes from the operand's beginning to the outer index; `field` 1 is the target, 2 the source."""
        total = 0
        for d in range(int_at(block, 3)):
            triple = block + 8 * (10 + 3 * d)
            length = int_at(triple, 0)
            total += outer % length * int_at(triple, field)
            outer //= length
        return total * size

    @device
    def columns(to: int, to_step: int, of: int, of_step: int, count: int) -> None:
        if to_step == 1 and of_step == 1:
            if count * size >= 256:
                copy_bytes(to, of, count * size)
            else:
                for i in range(count):
                    store(to, i, load(of, i))
        elif to_step == 1 and of_step == 0:
            value = load(of, 0)
            for i in range(count):
                store(to, i, value)
        else:
            for i in range(count):
                store(to, i * to_step, load(of, i * of_step))

    @device
    def rows(block: int, low: int, high: int, first: int, last: int) -> None:
        """Columns first..last of the rows low..high, where rows are numbered through all outer indices."""
        columns_step, source_step = int_at(block, 5), int_at(block, 6)
        length, to_step, of_step = int_at(block, 7), int_at(block, 8) * size, int_at(block, 9) * size
        while low < high:
            outer = low // length
            row = low - outer * length
            count = min(length - row, high - low)
            to = int_at(block, 0) + offset(block, outer, 1) + row * to_step + first * columns_step * size
            of = source_of(block) + offset(block, outer, 2) + row * of_step + first * source_step * size
            for _ in range(count):
                columns(to, columns_step, of, source_step, last - first)
                to += to_step
                of += of_step
            low += count

    @device
    def tile(to: int, to_row: int, of: int, of_column: int, height: int, width: int) -> None:
        """target[r, c] = source[r, c] with target columns and source rows contiguous."""
        if height == TILE and width == TILE:
            turn(to, to_row * size, of, of_column * size)
        else:
            for c in range(width):
                for r in range(height):
                    store(to, r * to_row + c, load(of, c * of_column + r))

    @device
    def tiles(block: int, outer_count: int, member: int, team: int) -> None:
        width, of_column = int_at(block, 4), int_at(block, 6)
        height, to_row = int_at(block, 7), int_at(block, 8)
        across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
        total = outer_count * down * across
        for index in range(share_low(total, 1, member, team), share_low(total, 1, member + 1, team)):
            rest = index // across
            c = (index - rest * across) * TILE
            outer = rest // down
            r = (rest - outer * down) * TILE
            to = int_at(block, 0) + offset(block, outer, 1) + (r * to_row + c) * size
            of = source_of(block) + offset(block, outer, 2) + (c * of_column + r) * size
            tile(to, to_row, of, of_column, min(TILE, height - r), min(TILE, width - c))

    def kernel(block: int, member: int, team: int) -> None:
        outer_count = 1
        for d in range(int_at(block, 3)):
            outer_count *= int_at(block, 10 + 3 * d)
        if int_at(block, 2) == 1:
            tiles(block, outer_count, member, team)
            return
        total, width = outer_count * int_at(block, 7), int_at(block, 4)
        if total >= 4 * team or width < 64:
            rows(block, share_low(total, 1, member, team), share_low(total, 1, member + 1, team), 0, width)
        else:
            first, last = share_low(width, 64, member, team), share_low(width, 64, member + 1, team)
            if first < last:
                rows(block, 0, total, first, last)

    return kernel
