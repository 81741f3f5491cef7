"""Reductions over any set of axes: sums, means, products, extremes and norms.

Sums and products of floats are accumulated in float64 and rounded once; integers in their own dtype, wrapping;
extremes keep NaN.  The block (see `bind/reduction.py`):

    kept_rank  reduced_rank  kept  combinations  length  step  columns  input  output  count
    {size  stride}[kept_rank]  {size  stride}[reduced_rank]

Dimensions are innermost first, strides in elements of the input.  Two layouts, each a kernel of its own:

    rows      the innermost dimension is reduced: `length` contiguous elements for each combination of the others
    columns   the innermost dimension is kept: `columns` contiguous elements, `length` times at distance `step`
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.approximate import log
from graphopt_kernels.cpu.device import device, intrinsic
from graphopt_kernels.cpu.lanes import (
    FLOATS,
    SIGNED,
    WIDTH,
    Cell,
    Lanes,
    bits_of,
    constant,
    folded,
    load_lanes,
    splat,
    store_lanes,
)
from graphopt_kernels.cpu.memory import copy_bytes, int_at, share_low, stack
from graphopt_kernels.targets import Target

WAYS = 4
"""Accumulators side by side: they hide the latency of an addition."""


@dataclass(frozen=True, slots=True)
class Reduction:
    """What is done to each element, how two partial results become one, and what is done in the end."""

    prepare: Callable[[Lanes], Lanes]
    combine: Callable[[Lanes, Lanes], Lanes]
    neutral: Callable[[str], float]
    """The input that changes nothing, by dtype."""
    finish: Callable[[Lanes, Lanes], Lanes]
    """Of the accumulator and the number of elements."""
    widens: bool = True
    """Whether floats are accumulated in float64."""


def lowest(dtype: str) -> float:
    """The value below all others of a dtype."""
    if dtype in FLOATS:
        return -math.inf
    return -(2 ** (bits_of(dtype) - 1)) if dtype in SIGNED else 0


def highest(dtype: str) -> float:
    """The value above all others of a dtype."""
    if dtype in FLOATS:
        return math.inf
    return 1 if dtype == "bool" else 2 ** (bits_of(dtype) - (dtype in SIGNED)) - 1


def _mean(total: Lanes, count: Lanes) -> Lanes:
    if total.is_float:
        return total / count
    nothing = count.equals(0)
    return nothing.where(0, total / nothing.where(1, count))


def _as_real(function: Callable[[Lanes], Lanes]) -> Callable[[Lanes, Lanes], Lanes]:
    return lambda total, _: function(total.to("float64")).to(total.dtype)


def _sum(prepare: Callable[[Lanes], Lanes], finish: Callable[[Lanes, Lanes], Lanes]) -> Reduction:
    return Reduction(prepare, Lanes.__add__, lambda _: 0, finish)


def _same(x: Lanes) -> Lanes:
    return x


def _plain(total: Lanes, count: Lanes) -> Lanes:
    return total


REDUCTIONS = {
    "ReduceSum": _sum(_same, _plain),
    "ReduceMean": _sum(_same, _mean),
    "ReduceL1": _sum(Lanes.magnitude, _plain),
    "ReduceL2": _sum(lambda x: x * x, _as_real(Lanes.sqrt)),
    "ReduceSumSquare": _sum(lambda x: x * x, _plain),
    "ReduceLogSum": _sum(_same, _as_real(log)),
    "ReduceProd": Reduction(_same, Lanes.__mul__, lambda _: 1, _plain),
    "ReduceMax": Reduction(_same, Lanes.maximum, lowest, _plain, widens=False),
    "ReduceMin": Reduction(_same, Lanes.minimum, highest, _plain, widens=False),
}


class _Code:
    """The vector code of one reduction, as intrinsics over addresses.

    A *state* is `WAYS` vectors of accumulators in memory; a *room* holds `WAYS` vectors of the input's dtype.
    """

    def __init__(self, reduction: Reduction, dtype: str) -> None:
        self.reduction = reduction
        self.dtype = "uint8" if dtype == "bool" else dtype
        self.neutral_value = reduction.neutral(dtype)
        wide = reduction.widens and dtype in FLOATS
        self.accumulator = "float64" if wide else "float32" if dtype == "float16" else self.dtype
        self.size = max(bits_of(self.dtype) // 8, 1)
        self.stride = WIDTH * max(bits_of(self.accumulator) // 8, 1)

    def _load(self, builder: Any, address: Any, way: int) -> Lanes:
        offset = ir.Constant(ir.IntType(64), way * WIDTH * self.size)
        loaded = load_lanes(builder, builder.add(address, offset), self.dtype)
        return self.reduction.prepare(loaded.to(self.accumulator))

    def _states(self, builder: Any, state: Any) -> list[Any]:
        return [builder.add(state, ir.Constant(ir.IntType(64), way * self.stride)) for way in range(WAYS)]

    def begin(self) -> Any:
        """`begin(state, room)`: neutral accumulators, and a room of neutral input."""

        @intrinsic
        def code(typing: Any, state: Any, room: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                neutral = constant(builder, self.neutral_value, self.dtype)
                start = self.reduction.prepare(neutral.to(self.accumulator))
                for way, place in enumerate(self._states(builder, args[0])):
                    store_lanes(start, place)
                    offset = ir.Constant(ir.IntType(64), way * WIDTH * self.size)
                    store_lanes(neutral, builder.add(args[1], offset))
                return context.get_dummy_value()

            return signature(types.void, types.int64, types.int64), generate

        return code

    def advance(self) -> Any:
        """`advance(state, address, times, step)`: combine `WAYS` vectors from address, address + step, and so on."""

        @intrinsic
        def code(typing: Any, state: Any, address: Any, times: Any, step: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                states = self._states(builder, args[0])
                cells = [Cell(load_lanes(builder, place, self.accumulator)) for place in states]
                with cgutils.for_range(builder, args[2]) as loop:
                    here = builder.add(args[1], builder.mul(loop.index, args[3]))
                    for way, cell in enumerate(cells):
                        cell.set(self.reduction.combine(cell.get(), self._load(builder, here, way)))
                for cell, place in zip(cells, states, strict=True):
                    store_lanes(cell.get(), place)
                return context.get_dummy_value()

            return signature(types.void, *[types.int64] * 4), generate

        return code

    def fold(self) -> Any:
        """`fold(state)`: all accumulators become one, which then stands in every lane of the first vector."""

        @intrinsic
        def code(typing: Any, state: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                parts = [load_lanes(builder, place, self.accumulator) for place in self._states(builder, args[0])]
                while len(parts) > 1:
                    halves = zip(parts[::2], parts[1::2], strict=True)
                    parts = [self.reduction.combine(a, b) for a, b in halves]
                store_lanes(folded(parts[0], self.reduction.combine), args[0])
                return context.get_dummy_value()

            return signature(types.void, types.int64), generate

        return code

    def finish(self, ways: int) -> Any:
        """`finish(state, count, room)`: the results of that many accumulators, in the input's dtype, to the room."""

        @intrinsic
        def code(typing: Any, state: Any, count: Any, room: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                number = splat(builder, args[1], "int64").to(self.accumulator)
                for way, place in enumerate(self._states(builder, args[0])[:ways]):
                    total = load_lanes(builder, place, self.accumulator)
                    result = self.reduction.finish(total, number).to(self.dtype)
                    offset = ir.Constant(ir.IntType(64), way * WIDTH * self.size)
                    store_lanes(result, builder.add(args[2], offset))
                return context.get_dummy_value()

            return signature(types.void, *[types.int64] * 3), generate

        return code


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel for `op`, `dtype` and `layout` of the spec."""
    code = _Code(REDUCTIONS[spec["op"]], spec["dtype"])
    size, span = code.size, WAYS * WIDTH
    begin, advance, fold = code.begin(), code.advance(), code.fold()
    finish_one, finish_all = code.finish(1), code.finish(WAYS)
    state_memory, room_memory = stack(WAYS * code.stride), stack(8 * span)

    @device
    def offset(dimensions: int, rank: int, index: int) -> int:
        total = 0
        for d in range(rank):
            length = int_at(dimensions, 2 * d)
            total += index % length * int_at(dimensions, 2 * d + 1)
            index //= length
        return total * size

    def rows(block: int, member: int, team: int) -> None:
        state, room = state_memory(), room_memory()
        kept, reduced = block + 80, block + 80 + 16 * int_at(block, 0)
        total, length, output = int_at(block, 2), int_at(block, 4), int_at(block, 8)
        whole = length // span
        rest = (length - whole * span) * size
        for index in range(share_low(total, 1, member, team), share_low(total, 1, member + 1, team)):
            base = int_at(block, 7) + offset(kept, int_at(block, 0), index)
            begin(state, room)
            for combination in range(int_at(block, 3)):
                address = base + offset(reduced, int_at(block, 1), combination)
                advance(state, address, whole, span * size)
                if rest:
                    copy_bytes(room, address + whole * span * size, rest)
                    advance(state, room, 1, 0)
            fold(state)
            finish_one(state, int_at(block, 9), room)
            copy_bytes(output + index * size, room, size)

    def columns(block: int, member: int, team: int) -> None:
        state, room = state_memory(), room_memory()
        kept, reduced = block + 80, block + 80 + 16 * int_at(block, 0)
        width, length, step, output = int_at(block, 6), int_at(block, 4), int_at(block, 5) * size, int_at(block, 8)
        across = (width + span - 1) // span
        total = int_at(block, 2) * across
        for index in range(share_low(total, 1, member, team), share_low(total, 1, member + 1, team)):
            outer = index // across
            column = min((index - outer * across) * span, max(width - span, 0))  # the last may overlap its neighbour
            base = int_at(block, 7) + offset(kept, int_at(block, 0), outer) + column * size
            begin(state, room)
            for combination in range(int_at(block, 3)):
                address = base + offset(reduced, int_at(block, 1), combination)
                if width >= span:
                    advance(state, address, length, step)
                else:
                    for i in range(length):
                        copy_bytes(room, address + i * step, width * size)
                        advance(state, room, 1, 0)
            finish_all(state, int_at(block, 9), room)
            copy_bytes(output + (outer * width + column) * size, room, min(width, span) * size)

    return rows if spec["layout"] == "rows" else columns
