"""Products of 8-bit integers in the registers of float32: exact, because a float32 holds every integer up to 2^24.

Numbers less their zero points lie within ±255, so that 256 products add up to less than 2^24 in any order.  k is cut
into blocks of 256; a block's operands are widened into small buffers as they are needed, the float tile multiplies
them, and its result is added to C in int32.  Members share the columns, or the rows where these are more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import float32, int32, types, uint8
from numba.core.typing.templates import signature

from graphopt_kernels.abi import KernelSpec, float_field
from graphopt_kernels.bind import matmul_integer as f
from graphopt_kernels.cpu import tile as t
from graphopt_kernels.cpu.device import device, intrinsic
from graphopt_kernels.cpu.memory import loader, storer
from graphopt_kernels.cpu.runs import RunBuilder
from graphopt_kernels.cpu.tile import make_tile, tile_shape
from graphopt_kernels.cpu.words import put_word, stack_words, word_at
from graphopt_kernels.targets import Target

K_BLOCK = 256
PANEL = t.PANEL_BYTES // 4
LOWEST, HIGHEST, ONE = float_field(float("-inf")), float_field(float("inf")), float_field(1.0)


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The product for signed and unsigned bytes: int8 with its top bit flipped is uint8, and so is its zero point."""
    shape = tile_shape(target, 4)
    tile = make_tile(shape, "float32", masked=shape.masked_rows == shape.rows)
    load_byte = loader("uint8")
    load_float, store_float = loader("float32"), storer("float32")
    load_int, store_int = loader("int32"), storer("int32")
    most, columns = shape.rows, shape.columns
    descriptor = stack_words(t.DESCRIPTOR_WORDS)
    panel_room, rows_room = stack_words(K_BLOCK * PANEL // 2), stack_words(most * K_BLOCK // 2)
    lanes, widen, shifts_room = shape.lanes, make_widen(shape.lanes), stack_words(shape.lanes // 2)
    zeros_room, sums_room = stack_words(PANEL // 2), stack_words(most * PANEL // 2)

    @device
    def widen_row(target: int, zeros: int, source: int, count: int, flip: int, step: int) -> None:
        """`count` bytes as float32, less their zero points, which advance `step` bytes a number (0: not)."""
        done = count // lanes * lanes
        for j in range(0, done, lanes):
            widen(source + j, target + 4 * j, zeros + step * j, flip)
        for j in range(done, count):
            shift = load_float(zeros, j if step != 0 else 0)
            store_float(target, j, float32(load_byte(source, j) ^ uint8(flip)) - shift)

    @device
    def widen_panel(panel: int, zeros: int, source: int, n: int, k: int, count: int, flip: int) -> None:
        """k rows of `count` columns of B, less their zero points; the rest of the panel stays as it is."""
        for p in range(k):
            widen_row(panel + p * t.PANEL_BYTES, zeros, source + p * n, count, flip, 4)

    @device
    def widen_rows(target: int, block: int, source: int, k_all: int, r0: int, rows: int, k: int) -> None:
        """Rows of A less their zero point."""
        zero, step, flip = word_at(block, f.A_ZERO), word_at(block, f.A_ZERO_ROW), word_at(block, f.A_FLIP)
        shifts = shifts_room()
        for r in range(rows):
            shift = float32(uint8(flip))
            if zero != 0:
                shift = float32(load_byte(zero, (r0 + r) * step) ^ uint8(flip))
            for i in range(lanes):
                store_float(shifts, i, shift)
            widen_row(target + r * K_BLOCK * 4, shifts, source + r * k_all, k, flip, 0)

    @device
    def add_sums(target: int, sums: int, n: int, rows: int, count: int, fresh: bool) -> None:
        """Add a tile's sums to C, or begin with them."""
        for r in range(rows):
            for j in range(count):
                before = int32(0) if fresh else load_int(target, r * n + j)
                store_int(target, r * n + j, int32(before + int32(load_float(sums, r * PANEL + j))))

    @device
    def product(block: int, a: int, b: int, c: int, m0: int, m1: int, n0: int, n1: int) -> None:
        """Rows m0..m1 and columns n0..n1 of one product."""
        n, k = word_at(block, f.N), word_at(block, f.K)
        zero, zero_step, flip = word_at(block, f.B_ZERO), word_at(block, f.B_ZERO_COLUMN), word_at(block, f.B_FLIP)
        d, panel, widened, zeros, sums = descriptor(), panel_room(), rows_room(), zeros_room(), sums_room()
        for field in range(t.DESCRIPTOR_WORDS):
            put_word(d, field, 0)
        put_word(d, t.A, widened)
        put_word(d, t.A_ROW, K_BLOCK * 4)
        put_word(d, t.A_STEP, 4)
        put_word(d, t.B_STEP, t.PANEL_BYTES)
        put_word(d, t.C_ROW, t.PANEL_BYTES)
        put_word(d, t.LOW, LOWEST)
        put_word(d, t.HIGH, HIGHEST)
        put_word(d, t.BIAS_SCALE, ONE)
        tiles = (m1 - m0 + most - 1) // most
        for j in range(n0, n1, PANEL):
            count = min(n1 - j, PANEL)
            for i in range(PANEL):
                store_float(zeros, i, float32(uint8(flip)))
            if zero != 0:
                for i in range(count):
                    store_float(zeros, i, float32(load_byte(zero, (j + i) * zero_step) ^ uint8(flip)))
            k0 = 0
            while True:
                k1 = min(k0 + K_BLOCK, k)
                widen_panel(panel, zeros, b + k0 * n + j, n, k1 - k0, count, flip)
                put_word(d, t.K, k1 - k0)
                for i in range(tiles):
                    r0, r1 = m0 + (m1 - m0) * i // tiles, m0 + (m1 - m0) * (i + 1) // tiles
                    widen_rows(widened, block, a + r0 * k + k0, k, r0, r1 - r0, k1 - k0)
                    for s in range(0, count, columns):
                        put_word(d, t.B, panel + 4 * s)
                        put_word(d, t.C, sums + 4 * s)
                        put_word(d, t.COUNT, min(count - s, columns))
                        tile(d, r1 - r0)
                    add_sums(c + (r0 * n + j) * 4, sums, n, r1 - r0, count, k0 == 0)
                k0 = k1
                if k0 >= k:
                    break

    def matmul_integer(block: int, member: int, team: int) -> None:
        m, n = word_at(block, f.M), word_at(block, f.N)
        panels, rows = (n + PANEL - 1) // PANEL, (m + most - 1) // most
        m0, m1, n0, n1 = 0, m, 0, n
        if panels >= rows:
            n0, n1 = panels * member // team * PANEL, min(panels * (member + 1) // team * PANEL, n)
        else:
            m0, m1 = rows * member // team * most, min(rows * (member + 1) // team * most, m)
        if m0 < m1 and n0 < n1:
            for i in range(word_at(block, f.BATCH)):
                a = word_at(block, f.A) + i * word_at(block, f.A_BATCH)
                b = word_at(block, f.B) + i * word_at(block, f.B_BATCH)
                product(block, a, b, word_at(block, f.C) + i * m * n * 4, m0, m1, n0, n1)

    return matmul_integer


def make_widen(lanes: int) -> Any:
    """`widen(source, target, zeros, flip)`: one vector of bytes, bits flipped, as float32 less those at `zeros`."""

    @intrinsic
    def widen(typing: Any, source: Any, target: Any, zeros: Any, flip: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            of, byte = RunBuilder(builder, lanes, "float32"), ir.IntType(8)
            source, target, zeros, flip = args
            bytes_type, words_type = ir.VectorType(byte, lanes), ir.VectorType(ir.IntType(32), lanes)
            loaded = builder.load(builder.inttoptr(source, bytes_type.as_pointer()), align=1)
            flipped = builder.xor(loaded, of.splat(builder.trunc(flip, byte), byte))
            number = builder.sitofp(builder.zext(flipped, words_type), of.vector)
            shift = builder.load(of.place(zeros), align=4)
            builder.store(builder.fsub(number, shift), of.place(target), align=4)
            return context.get_dummy_value()

        return signature(types.void, *[types.int64] * 4), generate

    return widen
