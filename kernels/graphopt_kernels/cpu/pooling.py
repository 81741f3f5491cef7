"""Max, average and Lp pooling over one to three spatial axes.

Planes with short rows, many rows at a time (`pooling_band.py`).  Others one output row at a time, a vector of outputs
at once (`pooling_row.py`), and where their windows reach further than the buffer holds, element by element.  The block
(see `bind/pooling.py`):

    planes  input  output  indices  columns_first  padded_count  {in  out  kernel  stride  dilation  before  after}[3]

`indices` is an address or 0; the axes are depth, height, width (1 where there are fewer).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.lanes import WIDTH
from graphopt_kernels.cpu.memory import copy_bytes, int_at, loader, set_int, share_low, stack, storer
from graphopt_kernels.cpu.pooling_band import counted, make_band
from graphopt_kernels.cpu.pooling_row import RowCode
from graphopt_kernels.targets import Target

REACH = 512
"""Elements of the buffer; two vectors of it are there to be read beyond the end."""


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel for `op` (MaxPool, AveragePool, LpPool1, LpPool2) and `dtype`."""
    op, dtype = str(spec["op"]), np.dtype(spec["dtype"])
    code = RowCode(op, dtype.name)
    rows_of, pool_rows = make_band(code, op, dtype)
    load, store, size = loader(dtype), storer(dtype), dtype.itemsize
    clear, gather = code.clear(), code.gather()
    narrow_one, narrow_two, narrow_any = code.narrow(1), code.narrow(2), code.narrow(0)
    buffer_memory, room_memory, counts_memory = stack(REACH * size), stack(8 * WIDTH), stack(8 * WIDTH)
    start = dtype.type(code.neutral_value)
    largest, averaged, absolute, squared = op == "MaxPool", op == "AveragePool", op == "LpPool1", op == "LpPool2"

    @device
    def gather_part(buffer: int, room: int, source: int, step: int, rows: int, count: int, behind: int) -> None:
        """Combine `count` columns of some rows into the buffer; what follows them there becomes neutral.

        Whole vectors are read, unless the last would end `behind` the input: that one goes through the room.
        """
        whole = (count + WIDTH - 1) // WIDTH
        if source + (rows - 1) * step + whole * WIDTH * size <= behind:
            gather(buffer, source, step, rows, whole)
        else:
            whole = count // WIDTH
            gather(buffer, source, step, rows, whole)
            rest = (count - whole * WIDTH) * size
            for row in range(rows if rest else 0):
                clear(room, 1)
                copy_bytes(room, source + row * step + whole * WIDTH * size, rest)
                gather(buffer + whole * WIDTH * size, room, 0, 1, 1)
        clear(buffer + count * size, 1)

    @device
    def gather_rows(block: int, plane: int, d: int, h: int, first: int, reach: int, buffer: int, room: int) -> None:
        """Every row of the windows of output row (d, h), from input column `first` on."""
        depth, height, width = block + 48, block + 48 + 56, block + 48 + 112
        rows, columns, dilation = int_at(height, 0), int_at(width, 0), int_at(height, 4)
        low, high = max(0, first), min(columns, first + reach)
        clear(buffer, (reach + WIDTH - 1) // WIDTH + 2)
        top = h * int_at(height, 3) - int_at(height, 5)
        skipped = 0 if top >= 0 else (-top + dilation - 1) // dilation
        fitting = 0 if top >= rows else (rows - 1 - top) // dilation + 1
        count = min(fitting, int_at(height, 2)) - skipped
        if low >= high or count <= 0:
            return
        behind = int_at(block, 1) + int_at(block, 0) * int_at(depth, 0) * rows * columns * size
        for kd in range(int_at(depth, 2)):
            z = d * int_at(depth, 3) - int_at(depth, 5) + kd * int_at(depth, 4)
            if 0 <= z < int_at(depth, 0):
                line = ((plane * int_at(depth, 0) + z) * rows + top + skipped * dilation) * columns
                source = int_at(block, 1) + (line + low) * size
                place = buffer + (low - first) * size
                gather_part(place, room, source, dilation * columns * size, count, high - low, behind)

    @device
    def number_of(block: int, first: int, count: int, rows_counted: int, counts: int) -> None:
        """How many elements count in each of `count` windows, from output column `first` on."""
        width, padded = block + 48 + 112, int_at(block, 5)
        for lane in range(WIDTH):
            number = rows_counted * counted(width, min(first + lane, first + count - 1), padded)
            store(counts, lane, number)

    @device
    def all_inside(block: int, first: int, last: int) -> bool:
        """Whether the windows of output columns first..last lie within the input along the width."""
        width = block + 48 + 112
        start = first * int_at(width, 3) - int_at(width, 5)
        end = last * int_at(width, 3) - int_at(width, 5) + (int_at(width, 2) - 1) * int_at(width, 4)
        return start >= 0 and end < int_at(width, 0)

    @device
    def one_window(block: int, plane: int, d: int, h: int, w: int, rows_counted: int) -> Any:
        """The result of one window, element by element."""
        depth, height, width = block + 48, block + 48 + 56, block + 48 + 112
        rows, columns = int_at(height, 0), int_at(width, 0)
        total = start
        for kd in range(int_at(depth, 2)):
            z = d * int_at(depth, 3) - int_at(depth, 5) + kd * int_at(depth, 4)
            for kh in range(int_at(height, 2)):
                y = h * int_at(height, 3) - int_at(height, 5) + kh * int_at(height, 4)
                for kw in range(int_at(width, 2)):
                    x = w * int_at(width, 3) - int_at(width, 5) + kw * int_at(width, 4)
                    if 0 <= z < int_at(depth, 0) and 0 <= y < rows and 0 <= x < columns:
                        place = (plane * int_at(depth, 0) + z) * rows + y
                        value = load(int_at(block, 1), place * columns + x)
                        if largest:
                            total = value if value > total or value != value else total
                        else:
                            total += value * value if squared else abs(value) if absolute else value
        if averaged:
            return total / (rows_counted * counted(width, w, int_at(block, 5)))
        return math.sqrt(total) if squared else total

    @device
    def pool_row(block: int, plane: int, d: int, h: int, to: int) -> None:
        buffer, room, counts = buffer_memory(), room_memory(), counts_memory()
        depth, height, width = block + 48, block + 48 + 56, block + 48 + 112
        across, kernel, stride, dilation = int_at(width, 1), int_at(width, 2), int_at(width, 3), int_at(width, 4)
        padded = int_at(block, 5)
        rows_counted = counted(depth, d, padded) * counted(height, h, padded) if averaged else 1
        most = (REACH - 3 * WIDTH - (kernel - 1) * dilation - 1) // stride // WIDTH * WIDTH
        if most < WIDTH:
            for w in range(across):
                store(to, w, one_window(block, plane, d, h, w, rows_counted))
            return
        held = False  # whether `counts` is that of windows inside
        for begin in range(0, across, most):
            count = min(most, across - begin)
            first = begin * stride - int_at(width, 5)
            reach = (count - 1) * stride + (kernel - 1) * dilation + 1
            gather_rows(block, plane, d, h, first, reach, buffer, room)
            for column in range(0, count, WIDTH):
                lanes = min(WIDTH, count - column)
                if averaged:
                    inside = all_inside(block, begin + column, begin + column + lanes - 1)
                    if not (inside and held):
                        number_of(block, begin + column, lanes, rows_counted, counts)
                    held = inside
                source = buffer + column * stride * size
                goal = to + (begin + column) * size if lanes == WIDTH else room
                if stride == 1:
                    narrow_one(source, stride, kernel, dilation, counts, goal)
                elif stride == 2:
                    narrow_two(source, stride, kernel, dilation, counts, goal)
                else:
                    narrow_any(source, stride, kernel, dilation, counts, goal)
                if lanes < WIDTH:
                    copy_bytes(to + (begin + column) * size, room, lanes * size)

    @device
    def place(block: int, plane: int, d: int, h: int, w: int) -> int:
        """The number of the largest element of a window, counted through the tensor; -1 where there is none."""
        best, where = start, -1
        depth, height, width = block + 48, block + 48 + 56, block + 48 + 112
        rows, columns = int_at(height, 0), int_at(width, 0)
        base = plane * int_at(depth, 0) * rows * columns
        for kd in range(int_at(depth, 2)):
            z = d * int_at(depth, 3) - int_at(depth, 5) + kd * int_at(depth, 4)
            if z < 0 or z >= int_at(depth, 0):
                continue
            for kh in range(int_at(height, 2)):
                y = h * int_at(height, 3) - int_at(height, 5) + kh * int_at(height, 4)
                if y < 0 or y >= rows:
                    continue
                for kw in range(int_at(width, 2)):
                    x = w * int_at(width, 3) - int_at(width, 5) + kw * int_at(width, 4)
                    if x < 0 or x >= columns:
                        continue
                    value = load(int_at(block, 1), base + (z * rows + y) * columns + x)
                    if where < 0 or value > best or (value != value and best == best):
                        best = value
                        if int_at(block, 4):
                            where = base + (x * rows + y) * int_at(depth, 0) + z
                        else:
                            where = base + (z * rows + y) * columns + x
        return where

    def kernel(block: int, member: int, team: int) -> None:
        depth, height, width = block + 48, block + 48 + 56, block + 48 + 112
        across, down = int_at(width, 1), int_at(height, 1)
        total = int_at(block, 0) * int_at(depth, 1) * down
        begin, end = share_low(total, 1, member, team), share_low(total, 1, member + 1, team)
        middle = max(begin, min(rows_of(block), end))
        if begin < middle:
            pool_rows(block, begin, middle)
        for row in range(begin if int_at(block, 3) else middle, end):
            rest = row // down
            h = row - rest * down
            plane = rest // int_at(depth, 1)
            d = rest - plane * int_at(depth, 1)
            to = int_at(block, 2) + row * across * size
            if row >= middle:
                pool_row(block, plane, d, h, to)
            if int_at(block, 3):
                for w in range(across):
                    set_int(int_at(block, 3), row * across + w, place(block, plane, d, h, w))

    return kernel
