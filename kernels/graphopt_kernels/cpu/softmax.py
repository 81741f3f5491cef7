"""Softmax and its logarithm, along contiguous rows or across strided columns.

The block (see `bind/softmax.py`): outer  length  inner  input  output.  Rows: `inner` is 1.  Columns: element i of a
vector of columns lies `inner` elements behind element i - 1.  The largest element is subtracted before exp; sums are
float32 (float64 for float64), sixteen side by side.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.approximate import exp, log
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.lanes import WIDTH, Cell, Lanes, folded
from graphopt_kernels.cpu.memory import copy_bytes, int_at, share_low, stack
from graphopt_kernels.cpu.passes import STATE, state_step, vector_bytes, vector_pass
from graphopt_kernels.targets import Target


def _larger(a: Lanes, b: Lanes) -> Lanes:
    return a.gt(b).where(a, b)  # a NaN may be lost here: it comes back through the sum


class _Code:
    """The steps over totals (largest, sum), and the passes, for one dtype."""

    def __init__(self, dtype: str, logarithm: bool, folds: bool) -> None:
        self.dtype, self.logarithm, self.folds = dtype, logarithm, folds
        self.totals = (dtype, dtype)

    def begin(self) -> Any:
        """Nothing seen yet."""

        def body(cells: list[Cell]) -> None:
            cells[0].set(cells[0].get().const(-math.inf))
            cells[1].set(cells[1].get().const(0))

        return state_step(self.totals, body)

    def largest(self) -> Any:
        """First pass: the largest."""

        def body(loaded: list[Lanes], cells: list[Cell]) -> None:
            cells[0].set(_larger(loaded[0], cells[0].get()))

        return vector_pass((self.dtype,), self.dtype, self.totals, body)

    def spread(self) -> Any:
        """Along rows, the lanes are one."""

        def body(cells: list[Cell]) -> None:
            if self.folds:
                cells[0].set(folded(cells[0].get(), _larger))

        return state_step(self.totals, body)

    def powers(self) -> Any:
        """Second pass: powers (for the logarithm, differences) and the sum of powers."""

        def body(loaded: list[Lanes], cells: list[Cell]) -> Lanes:
            x = loaded[0] - cells[0].get()
            power = exp(x)
            cells[1].set(cells[1].get() + power)
            return x if self.logarithm else power

        return vector_pass((self.dtype,), self.dtype, self.totals, body)

    def invert(self) -> Any:
        """The sum becomes what the third pass applies."""

        def body(cells: list[Cell]) -> None:
            total = cells[1].get()
            if self.folds:
                total = folded(total, Lanes.__add__)
            cells[1].set(log(total) if self.logarithm else 1.0 / total)

        return state_step(self.totals, body)

    def scale(self) -> Any:
        """Third pass: in place."""

        def body(loaded: list[Lanes], cells: list[Cell]) -> Lanes:
            factor = cells[1].get()
            return loaded[0] - factor if self.logarithm else loaded[0] * factor

        return vector_pass((self.dtype,), self.dtype, self.totals, body)

    def neutral(self) -> Any:
        """-inf everywhere at `target`: what an incomplete vector is filled up with."""

        def body(loaded: list[Lanes], cells: list[Cell]) -> Lanes:
            return cells[0].get().const(-math.inf)

        return vector_pass((), self.dtype, self.totals, body)


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel for `dtype`, `log` (0 or 1) and `layout` of the spec."""
    dtype = str(spec["dtype"])
    code = _Code(dtype, bool(spec["log"]), spec["layout"] == "rows")
    begin, largest, spread = code.begin(), code.largest(), code.spread()
    powers, invert, scale, neutral = code.powers(), code.invert(), code.scale(), code.neutral()
    vector = vector_bytes(dtype)
    size = vector // WIDTH
    state_memory, room_memory = stack(2 * STATE), stack(8 * WIDTH)

    def rows(block: int, member: int, team: int) -> None:
        state, room = state_memory(), room_memory()
        total, length = int_at(block, 0), int_at(block, 1)
        whole = length // WIDTH
        rest = (length - whole * WIDTH) * size
        for row in range(share_low(total, 1, member, team), share_low(total, 1, member + 1, team)):
            source = int_at(block, 3) + row * length * size
            to = int_at(block, 4) + row * length * size
            begin(state)
            largest(source, 0, 0, 0, whole, state)
            if rest:
                neutral(0, 0, 0, room, 1, state)
                copy_bytes(room, source + whole * vector, rest)
                largest(room, 0, 0, 0, 1, state)
            spread(state)
            powers(source, 0, 0, to, whole, state)
            if rest:
                powers(room, 0, 0, room, 1, state)
            invert(state)
            scale(to, 0, 0, to, whole, state)
            if rest:
                scale(room, 0, 0, room, 1, state)
                copy_bytes(to + whole * vector, room, rest)

    @device
    def apply(which: int, source: int, to: int, step: int, length: int, width: int, state: int, room: int) -> None:
        """One pass down `width` columns; fewer than a vector of them go through the room."""
        for i in range(length):
            here, there = source + i * step, to + i * step
            if width < WIDTH:
                copy_bytes(room, here, width * size)
                here = there = room
            if which == 0:
                largest(here, 0, 0, 0, 1, state)
            elif which == 1:
                powers(here, 0, 0, there, 1, state)
            else:
                scale(here, 0, 0, there, 1, state)
            if width < WIDTH and which:
                copy_bytes(to + i * step, room, width * size)

    def columns(block: int, member: int, team: int) -> None:
        state, room = state_memory(), room_memory()
        length, inner = int_at(block, 1), int_at(block, 2)
        across = (inner + WIDTH - 1) // WIDTH
        total = int_at(block, 0) * across
        for index in range(share_low(total, 1, member, team), share_low(total, 1, member + 1, team)):
            outer = index // across
            column = (index - outer * across) * WIDTH
            begin(state)
            neutral(0, 0, 0, room, 1, state)
            source = int_at(block, 3) + (outer * length * inner + column) * size
            to = int_at(block, 4) + (outer * length * inner + column) * size
            width = min(inner - column, WIDTH)
            apply(0, source, to, inner * size, length, width, state, room)
            apply(1, source, to, inner * size, length, width, state, room)
            invert(state)
            apply(2, to, to, inner * size, length, width, state, room)

    return rows if spec["layout"] == "rows" else columns
