"""The two halves of pooling a row, as vector code: rows of a window into one, then its columns into one.

First every row that a window covers is combined into a buffer in the frame, whatever the stride; what lies outside the
input stays neutral there.  Then elements of the buffer at the distance of the window are combined.
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

from graphopt_kernels.cpu.device import intrinsic
from graphopt_kernels.cpu.lanes import WIDTH, Cell, Lanes, constant, load_lanes, splat, store_lanes
from graphopt_kernels.cpu.passes import vector_bytes
from graphopt_kernels.cpu.reduction import lowest

_WORD, _INDEX = ir.IntType(64), ir.IntType(32)


@dataclass(frozen=True, slots=True)
class Pooling:
    """What is done to each element, how two become one, and what is done in the end with the number of elements."""

    prepare: Callable[[Lanes], Lanes]
    combine: Callable[[Lanes, Lanes], Lanes]
    neutral: Callable[[str], float]
    finish: Callable[[Lanes, Lanes], Lanes]


POOLINGS = {
    "MaxPool": Pooling(lambda x: x, Lanes.maximum, lowest, lambda x, n: x),
    "AveragePool": Pooling(lambda x: x, Lanes.__add__, lambda _: 0, lambda x, n: x / n),
    "LpPool1": Pooling(Lanes.magnitude, Lanes.__add__, lambda _: 0, lambda x, n: x),
    "LpPool2": Pooling(lambda x: x * x, Lanes.__add__, lambda _: 0, lambda x, n: x.sqrt()),
}


class RowCode:
    """The intrinsics for one kind of pooling and dtype."""

    def __init__(self, op: str, dtype: str) -> None:
        self.pooling, self.dtype = POOLINGS[op], dtype
        self.vector = vector_bytes(dtype)
        self.neutral_value = self.pooling.neutral(dtype)
        if dtype.startswith("float") and math.isinf(self.neutral_value):
            self.neutral_value = -math.inf

    def _at(self, builder: Any, base: Any, index: Any) -> Any:
        return builder.add(base, builder.mul(index, ir.Constant(_WORD, self.vector)))

    def clear(self) -> Any:
        """`clear(buffer, vectors)`: neutral everywhere."""

        @intrinsic
        def code(typing: Any, buffer: Any, vectors: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                with cgutils.for_range(builder, args[1]) as loop:
                    neutral = constant(builder, self.neutral_value, self.dtype)
                    store_lanes(neutral, self._at(builder, args[0], loop.index))
                return context.get_dummy_value()

            return signature(types.void, types.int64, types.int64), generate

        return code

    def gather(self) -> Any:
        """`gather(buffer, source, step, rows, vectors)`: combine rows, `step` bytes apart, into the buffer."""

        @intrinsic
        def code(typing: Any, buffer: Any, source: Any, step: Any, rows: Any, vectors: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                with cgutils.for_range(builder, args[4]) as columns:
                    here = self._at(builder, args[0], columns.index)
                    there = self._at(builder, args[1], columns.index)
                    total = Cell(load_lanes(builder, here, self.dtype))
                    with cgutils.for_range(builder, args[3]) as loop:
                        place = builder.add(there, builder.mul(loop.index, args[2]))
                        new = self.pooling.prepare(load_lanes(builder, place, self.dtype))
                        total.set(self.pooling.combine(total.get(), new))
                    store_lanes(total.get(), here)
                return context.get_dummy_value()

            return signature(types.void, *[types.int64] * 5), generate

        return code

    def narrow(self, stride: int) -> Any:
        """`narrow(buffer, stride, positions, dilation, counts, target)`: one vector of results.

        Result i combines the elements i·stride + k·dilation for k below `positions`, and is finished with the number at
        `counts`, of the dtype.  `stride` is 1 or 2 here, or 0 for whatever is given.
        """

        @intrinsic
        def code(typing: Any, buffer: Any, pace: Any, positions: Any, dilation: Any, counts: Any, target: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                total = self._combined(builder, args[0], stride, args[1:4])
                number = load_lanes(builder, args[4], self.dtype)
                store_lanes(self.pooling.finish(total, number), args[5])
                return context.get_dummy_value()

            return signature(types.void, *[types.int64] * 6), generate

        return code

    def fold(self) -> Any:
        """`fold(buffer, pitch, source, pace, count, step, rows, used)`: combine the rows of many windows.

        Row i of `count` in the buffer, `pitch` bytes apart, combines `rows` rows of the input, `step` bytes apart, from
        `source` + i·`pace` on.  `used` elements are combined, in whole vectors: behind them follow neutral ones.
        """

        @intrinsic
        def code(
            typing: Any, buffer: Any, pitch: Any, source: Any, pace: Any, count: Any, step: Any, rows: Any, used: Any
        ) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                buffer, pitch, source, pace, count, step, rows, used = args
                width = ir.Constant(_WORD, WIDTH)
                before_last = builder.sdiv(builder.sub(used, ir.Constant(_WORD, 1)), width)
                rest = builder.sub(used, builder.mul(before_last, width))
                numbers = Lanes(builder, ir.Constant(ir.VectorType(_INDEX, WIDTH), list(range(WIDTH))), "int32")
                held = numbers.lt(splat(builder, builder.trunc(rest, _INDEX), "int32"))
                neutral = constant(builder, self.neutral_value, self.dtype)

                def combined(there: Any) -> Lanes:
                    total = Cell(neutral)
                    with cgutils.for_range(builder, rows) as loop:
                        place = builder.add(there, builder.mul(loop.index, step))
                        new = self.pooling.prepare(load_lanes(builder, place, self.dtype))
                        total.set(self.pooling.combine(total.get(), new))
                    return total.get()

                with cgutils.for_range(builder, count) as line:
                    here = builder.add(buffer, builder.mul(line.index, pitch))
                    there = builder.add(source, builder.mul(line.index, pace))
                    with cgutils.for_range(builder, before_last) as columns:
                        whole = combined(self._at(builder, there, columns.index))
                        store_lanes(whole, self._at(builder, here, columns.index))
                    last = combined(self._at(builder, there, before_last))
                    store_lanes(held.where(last, neutral), self._at(builder, here, before_last))
                return context.get_dummy_value()

            return signature(types.void, *[types.int64] * 8), generate

        return code

    def narrow_along(self, stride: int) -> Any:
        """`narrow_along(buffer, stride, positions, dilation, target, vectors)`: as `narrow`, many and not finished."""

        @intrinsic
        def code(typing: Any, buffer: Any, pace: Any, positions: Any, dilation: Any, target: Any, vectors: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                with cgutils.for_range(builder, args[5]) as loop:
                    here = builder.add(
                        args[0], builder.mul(self._at(builder, ir.Constant(_WORD, 0), loop.index), args[1])
                    )
                    total = self._combined(builder, here, stride, args[1:4])
                    store_lanes(total, self._at(builder, args[4], loop.index))
                return context.get_dummy_value()

            return signature(types.void, *[types.int64] * 6), generate

        return code

    def finish(self) -> Any:
        """`finish(source, counts, apart, number, target, vectors)`: finish combined elements.

        The count of an element is `number` times that at `counts`, of the dtype, where vector i of the elements has
        vector i·`apart`.
        """

        @intrinsic
        def code(typing: Any, source: Any, counts: Any, apart: Any, number: Any, target: Any, vectors: Any) -> Any:
            def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
                source, counts, apart, number, target, vectors = args
                factor = splat(builder, number, "int64").to(self.dtype)
                with cgutils.for_range(builder, vectors) as loop:
                    total = load_lanes(builder, self._at(builder, source, loop.index), self.dtype)
                    place = self._at(builder, counts, builder.mul(loop.index, apart))
                    count = load_lanes(builder, place, self.dtype) * factor
                    store_lanes(self.pooling.finish(total, count), self._at(builder, target, loop.index))
                return context.get_dummy_value()

            return signature(types.void, *[types.int64] * 6), generate

        return code

    def _combined(self, builder: Any, base: Any, stride: int, pace_positions_dilation: Any) -> Lanes:
        """One vector of results, not finished."""
        pace, positions, dilation = pace_positions_dilation
        size = ir.Constant(_WORD, self.vector // WIDTH)
        total = Cell(constant(builder, self.neutral_value, self.dtype))
        with cgutils.for_range(builder, positions) as loop:
            step = builder.mul(builder.mul(loop.index, dilation), size)
            found = self._strided(builder, builder.add(base, step), stride, pace)
            total.set(self.pooling.combine(total.get(), found))
        return total.get()

    def _strided(self, builder: Any, base: Any, stride: int, pace: Any) -> Lanes:
        first = load_lanes(builder, base, self.dtype)
        if stride == 1:
            return first
        if stride == 2:
            second = load_lanes(builder, builder.add(base, ir.Constant(_WORD, self.vector)), self.dtype)
            order = ir.Constant(ir.VectorType(_INDEX, WIDTH), [2 * lane for lane in range(WIDTH)])
            return Lanes(builder, builder.shuffle_vector(first.value, second.value, order), self.dtype)
        element = first.value.type.element
        pointer = builder.inttoptr(base, element.as_pointer())
        value: Any = ir.Constant(first.value.type, ir.Undefined)
        for lane in range(WIDTH):
            place = builder.gep(pointer, [builder.mul(pace, ir.Constant(_WORD, lane))])
            value = builder.insert_element(value, builder.load(place), ir.Constant(_INDEX, lane))
        return Lanes(builder, value, self.dtype)
