"""Max, average and Lp pooling over one to three spatial axes.

One output row at a time: for each position in the window a loop over the outputs that have it inside the input, so that
padding costs nothing and the inner loop has no branch.  The block (see `bind/pooling.py`):

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
from graphopt_kernels.cpu.memory import int_at, loader, set_int, share_low, storer
from graphopt_kernels.targets import Target


def _start(op: str, dtype: np.dtype) -> Any:
    if op != "MaxPool":
        return dtype.type(0)
    return dtype.type(-math.inf) if dtype.kind == "f" else np.iinfo(dtype).min


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel for `op` (MaxPool, AveragePool, LpPool1, LpPool2) and `dtype`."""
    op, dtype = str(spec["op"]), np.dtype(spec["dtype"])
    load, store, size, start = loader(dtype), storer(dtype), dtype.itemsize, _start(op, dtype)
    largest, averaged, absolute, rooted = op == "MaxPool", op == "AveragePool", op == "LpPool1", op == "LpPool2"

    @device
    def first_inside(position: int, size: int, stride: int) -> int:
        """The first output whose window position `position` (of output 0) lies at or behind 0."""
        return 0 if position >= 0 else (-position + stride - 1) // stride

    @device
    def behind_inside(position: int, size: int, stride: int, outputs: int) -> int:
        """Behind the last output whose window position lies before `size`."""
        return 0 if position >= size else min(outputs, (size - 1 - position) // stride + 1)

    @device
    def counted(axis: int, index: int, padded: int) -> int:
        """How many positions of a window count along an axis."""
        low, high = 0, int_at(axis, 0)
        if padded:
            low -= int_at(axis, 5)
            high += int_at(axis, 6)
        total = 0
        for k in range(int_at(axis, 2)):
            at = index * int_at(axis, 3) - int_at(axis, 5) + k * int_at(axis, 4)
            total += int(low <= at < high)
        return total

    @device
    def add_row(to: int, of: int, count: int, stride: int) -> None:
        for i in range(count):
            value, seen = load(of, i * stride), load(to, i)
            if largest:
                store(to, i, value if value > seen or value != value else seen)
            elif averaged:
                store(to, i, seen + value)
            elif absolute:
                store(to, i, seen + abs(value))
            else:
                store(to, i, seen + value * value)

    @device
    def finish(block: int, to: int, width: int, rows_counted: int) -> None:
        axis = block + 8 * (6 + 14)
        for i in range(width):
            if averaged:
                store(to, i, load(to, i) / (rows_counted * counted(axis, i, int_at(block, 5))))
            elif rooted:
                store(to, i, math.sqrt(load(to, i)))

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
        across, stride, before = int_at(width, 1), int_at(width, 3), int_at(width, 5)
        down = int_at(height, 1)
        total = int_at(block, 0) * int_at(depth, 1) * down
        for row in range(share_low(total, 1, member, team), share_low(total, 1, member + 1, team)):
            rest = row // down
            h = row - rest * down
            plane = rest // int_at(depth, 1)
            d = rest - plane * int_at(depth, 1)
            to = int_at(block, 2) + row * across * size
            for i in range(across):
                store(to, i, start)
            for kd in range(int_at(depth, 2)):
                z = d * int_at(depth, 3) - int_at(depth, 5) + kd * int_at(depth, 4)
                if z < 0 or z >= int_at(depth, 0):
                    continue
                for kh in range(int_at(height, 2)):
                    y = h * int_at(height, 3) - int_at(height, 5) + kh * int_at(height, 4)
                    if y < 0 or y >= int_at(height, 0):
                        continue
                    line = ((plane * int_at(depth, 0) + z) * int_at(height, 0) + y) * int_at(width, 0)
                    of = int_at(block, 1) + line * size
                    for kw in range(int_at(width, 2)):
                        position = kw * int_at(width, 4) - before
                        low = first_inside(position, int_at(width, 0), stride)
                        high = behind_inside(position, int_at(width, 0), stride, across)
                        if low < high:
                            add_row(to + low * size, of + (position + low * stride) * size, high - low, stride)
            if averaged or rooted:
                padded = int_at(block, 5)
                finish(block, to, across, counted(depth, d, padded) * counted(height, h, padded))
            if int_at(block, 3):
                for w in range(across):
                    set_int(int_at(block, 3), row * across + w, place(block, plane, d, h, w))

    return kernel
