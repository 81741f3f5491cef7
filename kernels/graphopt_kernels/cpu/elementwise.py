"""Chains of elementwise operators: one generated loop over all operands, broadcast by strides.

The block (see `bind/elementwise.py`):

    rank  columns  rows  address[operands]  step[operands]  {size  stride[operands]}[rank]

Rows are the outer dimensions, innermost first; within a row an operand advances by `step` elements (1 or 0).  Operands
are the chain's inputs, then its outputs.  The vector code of the chain is emitted as one intrinsic; an operand that
does not advance is spread over a vector once a row, and what is left of a row goes through vectors in the frame, so
that every element is computed by the same instructions wherever it lies.  In-place operation is allowed where
input and output coincide.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.chain import Chain, parse
from graphopt_kernels.cpu.device import device, intrinsic
from graphopt_kernels.cpu.lanes import WIDTH, load_lanes, store_lanes
from graphopt_kernels.cpu.memory import copy_bytes, copy_element, fill_elements, int_at, set_int, share_low, stack
from graphopt_kernels.cpu.operators import evaluate
from graphopt_kernels.targets import Target

ROOM = 8 * WIDTH
"""Bytes of a vector of the widest dtype."""


def _vector_steps(chain: Chain, sizes: tuple[int, ...]) -> Any:
    """`steps(cursors, advances, vectors)`: the chain for that many vectors.

    `cursors` and `advances` are rows of int64: where each operand is, and whether it advances (1) or repeats (0).
    """
    word = ir.IntType(64)

    @intrinsic
    def steps(typing: Any, cursors: Any, advances: Any, vectors: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            def field(row: Any, operand: int) -> Any:
                return builder.load(builder.gep(builder.inttoptr(row, word.as_pointer()), [ir.Constant(word, operand)]))

            bases = [field(args[0], j) for j in range(len(sizes))]
            paces = [builder.mul(field(args[1], j), ir.Constant(word, WIDTH * size)) for j, size in enumerate(sizes)]
            with cgutils.for_range(builder, args[2]) as loop:
                places = [builder.add(b, builder.mul(loop.index, p)) for b, p in zip(bases, paces, strict=True)]
                inputs = [load_lanes(builder, places[i], dtype) for i, dtype in enumerate(chain.inputs)]
                made = evaluate(chain, inputs)
                for lanes, place in zip(made, places[len(inputs) :], strict=True):
                    store_lanes(lanes, place)
            return context.get_dummy_value()

        return signature(types.void, types.int64, types.int64, types.int64), generate

    return steps


def _bytes_of(dtype: str) -> int:
    return 1 if dtype == "bool" else int(dtype.lstrip("uintfloa")) // 8


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel of the chain `spec["body"]`; the same vectors on every target."""
    chain = parse(spec["body"])
    sizes = tuple(_bytes_of(d) for d in (*chain.inputs, *(chain.dtype(o) for o in chain.outputs)))
    operands, inputs = len(sizes), len(chain.inputs)
    vector_steps = _vector_steps(chain, sizes)
    frame, words = stack(ROOM * operands), stack(8 * operands)
    addresses, steps, outer = 3, 3 + operands, 3 + 2 * operands

    @device
    def locate(block: int, row: int, here: int) -> None:
        """Write to `here` where each operand's row begins."""
        for j in range(operands):
            set_int(here, j, int_at(block, addresses + j))
        for d in range(int_at(block, 0)):
            dimension = block + 8 * (outer + d * (operands + 1))
            size = int_at(dimension, 0)
            index = row % size
            row //= size
            for j in range(operands):
                set_int(here, j, int_at(here, j) + index * int_at(dimension, 1 + j) * sizes[j])

    @device
    def part_of_row(block: int, here: int, begin: int, count: int) -> None:
        """Columns begin .. begin+count of the row whose operands begin at `here`."""
        room, cursors = frame(), words()
        for j in range(operands):
            if int_at(block, steps + j):
                set_int(cursors, j, int_at(here, j) + begin * sizes[j])
            else:
                fill_elements(room + ROOM * j, int_at(here, j), sizes[j], WIDTH)
                set_int(cursors, j, room + ROOM * j)
        whole = count // WIDTH
        vector_steps(cursors, block + 8 * steps, whole)
        rest = count % WIDTH
        if rest == 0:
            return
        for j in range(operands):
            if int_at(block, steps + j):
                set_int(here, j, int_at(cursors, j) + whole * WIDTH * sizes[j])
                if j < inputs:
                    copy_bytes(room + ROOM * j, int_at(here, j), rest * sizes[j])
                set_int(cursors, j, room + ROOM * j)
        vector_steps(cursors, block + 8 * steps, 1)
        for j in range(inputs, operands):
            copy_bytes(int_at(here, j), room + ROOM * j, rest * sizes[j])

    @device
    def by_rows(block: int, low: int, high: int) -> None:
        here = words()
        columns = int_at(block, 1)
        row = low // columns
        begin = low - row * columns
        while low < high:
            count = min(columns - begin, high - low)
            locate(block, row, here)
            part_of_row(block, here, begin, count)
            low += count
            row += 1
            begin = 0

    @device
    def by_elements(block: int, low: int, high: int) -> None:
        """For rows shorter than a vector: elements of several rows are gathered into one."""
        room, cursors, here = frame(), words(), words()
        columns = int_at(block, 1)
        for j in range(operands):
            set_int(cursors, j, room + ROOM * j)
        row = low // columns
        column = low - row * columns
        locate(block, row, here)
        while low < high:
            count = min(WIDTH, high - low)
            for lane in range(count):
                for j in range(inputs):
                    source = int_at(here, j) + column * int_at(block, steps + j) * sizes[j]
                    copy_element(room + ROOM * j + lane * sizes[j], source, sizes[j])
                column += 1
                if column == columns:
                    column = 0
                    row += 1
                    locate(block, row, here)
            vector_steps(cursors, block + 8 * steps, 1)
            for j in range(inputs, operands):
                copy_bytes(int_at(block, addresses + j) + low * sizes[j], room + ROOM * j, count * sizes[j])
            low += count

    def kernel(block: int, member: int, team: int) -> None:
        columns = int_at(block, 1)
        total = columns * int_at(block, 2)
        low = share_low(total, WIDTH, member, team)
        high = share_low(total, WIDTH, member + 1, team)
        if low >= high:
            return
        if columns >= WIDTH:
            by_rows(block, low, high)
        else:
            by_elements(block, low, high)

    return kernel
