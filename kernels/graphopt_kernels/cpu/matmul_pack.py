"""Packing a B that is not constant into panels, as `bind.matmul.pack_matrix` packs constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.bind import matmul as f
from graphopt_kernels.cpu.device import device, intrinsic
from graphopt_kernels.cpu.runs import RunBuilder
from graphopt_kernels.cpu.tile import PANEL_BYTES
from graphopt_kernels.cpu.words import float_word, word_at
from graphopt_kernels.targets import Target


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The packing for `spec["dtype"]`."""
    dtype = spec["dtype"]
    itemsize = 4 if dtype == "float32" else 8
    panel, lanes = PANEL_BYTES // itemsize, target.lanes(itemsize)
    copy, turn, gather = (make_block(lanes, dtype, way) for way in ("rows", "columns", "any"))

    @device
    def pack_panel(source: int, target: int, k: int, count: int, row: int, column: int, scale: float) -> None:
        for j in range(0, panel, lanes):
            valid = max(0, min(count - j, lanes))
            start, place = source + j * column, target + j * itemsize
            if column == itemsize:
                for p in range(k):
                    copy(start + p * row, column, place + p * PANEL_BYTES, 1, valid, scale)
            elif row == itemsize:
                for p in range(0, k, lanes):
                    turn(start + p * row, column, place + p * PANEL_BYTES, min(k - p, lanes), valid, scale)
            else:
                for p in range(k):
                    gather(start + p * row, column, place + p * PANEL_BYTES, 1, valid, scale)

    def matmul_pack(block: int, member: int, team: int) -> None:
        k, n = word_at(block, f.PACK_K), word_at(block, f.PACK_N)
        row, column = word_at(block, f.PACK_ROW) * itemsize, word_at(block, f.PACK_COLUMN) * itemsize
        scale = float_word(word_at(block, f.PACK_SCALE))
        panels = (n + panel - 1) // panel
        work = word_at(block, f.PACK_COUNT) * panels
        for unit in range(work * member // team, work * (member + 1) // team):
            index, p = unit // panels, unit % panels
            source = word_at(block, f.PACK_SOURCE) + index * word_at(block, f.PACK_BATCH) * itemsize
            target = word_at(block, f.PACK_TARGET) + unit * k * panel * itemsize
            pack_panel(source + p * panel * column, target, k, min(n - p * panel, panel), row, column, scale)

    return matmul_pack


def make_block(lanes: int, dtype: str, way: str) -> Any:
    """`block(source, column, target, rows, valid, scale)`: `rows` rows of one vector's width into a panel, scaled.

    The way says how a row lies in the source: side by side ("rows"), `column` bytes apart ("any"), or so that a column
    lies side by side ("columns": a square of elements is turned in registers).  Columns from `valid` on are zeros.
    """

    @intrinsic
    def block(typing: Any, source: Any, column: Any, target: Any, rows: Any, valid: Any, scale: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            source, column, target, rows, valid, scale = args
            of = RunBuilder(builder, lanes, dtype)
            factor = of.splat(builder.fptrunc(scale, of.kind) if of.size == 4 else scale, of.kind)
            every, present = [ir.Constant(ir.IntType(64), i) for i in range(lanes)], of.first_lanes(valid)
            if way == "rows":
                vectors = [of.load(source, present)]
            elif way == "any":
                stride = builder.sdiv(column, ir.Constant(ir.IntType(64), of.size))
                vectors = [of.gather(source, stride, present)]
            else:
                wanted, nothing = of.first_lanes(rows), ir.Constant(present.type, None)
                masks = [builder.select(builder.icmp_signed("<", i, valid), wanted, nothing) for i in every]
                places = [builder.add(source, builder.mul(column, i)) for i in every]
                vectors = _turned(of, [of.load(place, mask) for place, mask in zip(places, masks, strict=True)])
            whole = of.first_lanes(ir.Constant(ir.IntType(64), lanes))
            for i, vector in zip(every, vectors, strict=False):
                asked = builder.icmp_signed("<", i, rows)
                mask = builder.select(asked, whole, ir.Constant(whole.type, None))
                place = builder.add(target, ir.Constant(ir.IntType(64), i.constant * PANEL_BYTES))
                of.store(builder.fmul(vector, factor), place, mask)
            return context.get_dummy_value()

        return signature(types.void, *[types.int64] * 5, types.float64), generate

    return block


def _turned(of: RunBuilder, rows: list[Any]) -> list[Any]:
    """The columns of a square of vectors: neighbours change halves, pairs change quarters, and so on."""
    lanes, distance = of.lanes, 1
    while distance < lanes:
        low = [i if i & distance == 0 else i - distance + lanes for i in range(lanes)]
        high = [i + distance if i & distance == 0 else i + lanes for i in range(lanes)]
        masks = [ir.Constant(ir.VectorType(ir.IntType(32), lanes), index) for index in (low, high)]
        new = list(rows)
        for i in range(lanes):
            if i & distance == 0:
                pair = (rows[i], rows[i + distance])
                new[i], new[i + distance] = (of.builder.shuffle_vector(*pair, mask) for mask in masks)
        rows, distance = new, distance * 2
    return rows
