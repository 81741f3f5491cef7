"""Passes over contiguous elements, of which softmax and normalisations are made: load, compute, keep totals, store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature

from graphopt_kernels.cpu.device import intrinsic
from graphopt_kernels.cpu.lanes import WIDTH, Cell, Lanes, bits_of, load_lanes, store_lanes

Body = Callable[[list[Lanes], list[Cell]], "Lanes | None"]
STATE = 8 * WIDTH
"""Bytes from one total to the next, in the memory that holds them."""


def vector_bytes(dtype: str) -> int:
    """Bytes of a vector of a dtype in memory."""
    return WIDTH * max(bits_of(dtype), 8) // 8


def vector_pass(sources: Sequence[str], result: str, totals: Sequence[str], body: Body) -> Any:
    """`step(a, b, c, target, vectors, state)`: `body` for each vector of the sources in turn.

    `sources` are the dtypes of what stands at a, b, c (fewer are allowed); what the body gives is stored at `target` in
    the dtype `result`.  `totals` are the dtypes of the cells that the body reads and sets; they are loaded from
    `state` before and stored there after.
    """
    word = ir.IntType(64)

    @intrinsic
    def step(typing: Any, a: Any, b: Any, c: Any, target: Any, vectors: Any, state: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            places = [builder.add(args[5], ir.Constant(word, i * STATE)) for i in range(len(totals))]
            cells = [Cell(load_lanes(builder, p, dtype)) for p, dtype in zip(places, totals, strict=True)]
            with cgutils.for_range(builder, args[4]) as loop:

                def at(base: Any, dtype: str) -> Any:
                    return builder.add(base, builder.mul(loop.index, ir.Constant(word, vector_bytes(dtype))))

                loaded = [load_lanes(builder, at(args[i], dtype), dtype) for i, dtype in enumerate(sources)]
                made = body(loaded, cells)
                if made is not None:
                    store_lanes(made.to(result), at(args[3], result))
            for cell, place in zip(cells, places, strict=True):
                store_lanes(cell.get(), place)
            return context.get_dummy_value()

        return signature(types.void, *[types.int64] * 6), generate

    return step


def state_step(totals: Sequence[str], body: Callable[[list[Cell]], None]) -> Any:
    """`step(state)`: `body` on the totals alone."""

    @intrinsic
    def step(typing: Any, state: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            places = [builder.add(args[0], ir.Constant(ir.IntType(64), i * STATE)) for i in range(len(totals))]
            cells = [Cell(load_lanes(builder, p, dtype)) for p, dtype in zip(places, totals, strict=True)]
            body(cells)
            for cell, place in zip(cells, places, strict=True):
                store_lanes(cell.get(), place)
            return context.get_dummy_value()

        return signature(types.void, types.int64), generate

    return step
