"""Normalisation of contiguous rows to zero mean and unit variance (or unit mean square), with scale and bias.

Layer, RMS, instance and group normalisation differ in what a row is and in how scale and bias follow it.
The block (see `bind/normalization.py`):

    rows  length  segment  period  input  output  scale  bias  mean  inverse  epsilon

Along a row, segments of `segment` elements share one number of scale and bias when `affine` is `segments`: segment s of
row r has number (r·(length / segment) + s) mod `period`.  When it is `elements`, scale and bias are rows themselves.
`mean` and `inverse` are addresses of one float32 a row, or 0.  Sums are float64; the variance is of the centred row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.lanes import WIDTH, Cell, Lanes, folded
from graphopt_kernels.cpu.memory import copy_bytes, fill_elements, float_at, int_at, set_float, share_low, stack
from graphopt_kernels.cpu.passes import STATE, state_step, vector_bytes, vector_pass
from graphopt_kernels.targets import Target

MEAN, TOTAL, COUNT, EPSILON = range(4)
"""The totals, all float64: what is subtracted; the running sum, at last the factor; the count; epsilon."""
_TOTALS = ("float64",) * 4


class _Code:
    """The passes for one dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype

    def total(self) -> Any:
        """Adds up a row."""

        def body(loaded: list[Lanes], cells: list[Cell]) -> None:
            cells[TOTAL].set(cells[TOTAL].get() + loaded[0].to("float64"))

        return vector_pass((self.dtype,), self.dtype, _TOTALS, body)

    def average(self) -> Any:
        """The sum becomes the mean."""

        def body(cells: list[Cell]) -> None:
            total = folded(cells[TOTAL].get(), Lanes.__add__)
            cells[MEAN].set(total / cells[COUNT].get())
            cells[TOTAL].set(total.const(0))

        return state_step(_TOTALS, body)

    def squares(self) -> Any:
        """Adds up the squares of what is left without the mean."""

        def body(loaded: list[Lanes], cells: list[Cell]) -> None:
            centred = loaded[0] - cells[MEAN].get().to(self.dtype)
            wide = centred.to("float64")
            cells[TOTAL].set(wide.fma(wide, cells[TOTAL].get()))

        return vector_pass((self.dtype,), self.dtype, _TOTALS, body)

    def factor(self) -> Any:
        """The sum of squares becomes 1 / sqrt(mean square + epsilon)."""

        def body(cells: list[Cell]) -> None:
            square = folded(cells[TOTAL].get(), Lanes.__add__) / cells[COUNT].get()
            cells[TOTAL].set(1.0 / (square + cells[EPSILON].get()).sqrt())

        return state_step(_TOTALS, body)

    def apply(self, scaled: bool, biased: bool) -> Any:
        """(x - mean) · factor · scale + bias."""

        def body(loaded: list[Lanes], cells: list[Cell]) -> Lanes:
            result = (loaded[0] - cells[MEAN].get().to(self.dtype)) * cells[TOTAL].get().to(self.dtype)
            if scaled:
                result = result * loaded[1]
            return result + loaded[2] if biased else result

        sources = (self.dtype,) * (3 if biased else 2 if scaled else 1)
        return vector_pass(sources, self.dtype, _TOTALS, body)


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel for `dtype`, `centre` (0: no mean), `affine` (elements or segments) and `biased` (0 or 1)."""
    dtype = str(spec["dtype"])
    code, centre, biased = _Code(dtype), bool(spec["centre"]), bool(spec["biased"])
    by_elements = spec["affine"] == "elements"
    total, average, squares, factor = code.total(), code.average(), code.squares(), code.factor()
    apply = code.apply(True, biased)
    vector = vector_bytes(dtype)
    size = vector // WIDTH
    state_memory, room_memory = stack(4 * STATE), stack(8 * WIDTH)
    scale_memory, bias_memory = stack(8 * WIDTH), stack(8 * WIDTH)

    @device
    def spread(place: int, number: float) -> None:
        for lane in range(WIDTH):
            set_float(place, lane, number)

    @device
    def statistics(block: int, source: int, state: int, room: int) -> None:
        length = int_at(block, 1)
        whole = length // WIDTH
        rest = length - whole * WIDTH
        spread(state + MEAN * STATE, 0.0)
        spread(state + TOTAL * STATE, 0.0)
        spread(state + COUNT * STATE, float(length))
        spread(state + EPSILON * STATE, float_at(block, 10))
        if centre:
            spread(room, 0.0)
            copy_bytes(room, source + whole * vector, rest * size)
            total(source, 0, 0, 0, whole, state)
            total(room, 0, 0, 0, 1, state)
            average(state)
        squares(source, 0, 0, 0, whole, state)
        if rest:
            mean_filled(room, state)
            copy_bytes(room, source + whole * vector, rest * size)
            squares(room, 0, 0, 0, 1, state)
        factor(state)

    fill = vector_pass((), dtype, _TOTALS, lambda _, cells: cells[MEAN].get().to(dtype))

    @device
    def mean_filled(room: int, state: int) -> None:
        """The room full of the mean: nothing is left of it without the mean."""
        fill(0, 0, 0, room, 1, state)

    @device
    def part(source: int, to: int, scale: int, bias: int, count: int, step: int, state: int, room: int) -> None:
        """`count` elements; scale and bias advance by `step` vectors a vector (0: one vector of equal numbers)."""
        whole = count // WIDTH
        if step:
            apply(source, scale, bias, to, whole, state)
        else:
            for i in range(whole):
                apply(source + i * vector, scale, bias, to + i * vector, 1, state)
        rest = (count - whole * WIDTH) * size
        if rest:
            scale_room, bias_room = scale_memory(), bias_memory()
            done = whole * vector
            copy_bytes(room, source + done, rest)
            copy_bytes(scale_room, scale + done * step, rest)
            if biased:
                copy_bytes(bias_room, bias + done * step, rest)
            apply(room, scale_room, bias_room, room, 1, state)
            copy_bytes(to + done, room, rest)

    @device
    def segments(block: int, row: int, source: int, to: int, state: int, room: int) -> None:
        scale_room, bias_room = scale_memory(), bias_memory()
        segment, period = int_at(block, 2), int_at(block, 3)
        count = int_at(block, 1) // segment
        for s in range(count):
            number = (row * count + s) % period
            fill_elements(scale_room, int_at(block, 6) + number * size, size, WIDTH)
            if biased:
                fill_elements(bias_room, int_at(block, 7) + number * size, size, WIDTH)
            offset = s * segment * size
            part(source + offset, to + offset, scale_room, bias_room, segment, 0, state, room)

    told_mean = vector_pass((), "float32", _TOTALS, lambda _, cells: cells[MEAN].get())
    told_factor = vector_pass((), "float32", _TOTALS, lambda _, cells: cells[TOTAL].get())

    def kernel(block: int, member: int, team: int) -> None:
        state, room = state_memory(), room_memory()
        rows, length = int_at(block, 0), int_at(block, 1)
        for row in range(share_low(rows, 1, member, team), share_low(rows, 1, member + 1, team)):
            source = int_at(block, 4) + row * length * size
            to = int_at(block, 5) + row * length * size
            statistics(block, source, state, room)
            if by_elements:
                part(source, to, int_at(block, 6), int_at(block, 7), length, 1, state, room)
            else:
                segments(block, row, source, to, state, room)
            if int_at(block, 8):
                told_mean(0, 0, 0, room, 1, state)
                copy_bytes(int_at(block, 8) + row * 4, room, 4)
            if int_at(block, 9):
                told_factor(0, 0, 0, room, 1, state)
                copy_bytes(int_at(block, 9) + row * 4, room, 4)

    return kernel
