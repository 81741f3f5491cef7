"""Writing slices or elements to places that are data: ScatterElements, ScatterND, after the data has been copied.

One member does it all, in order, so that of two writes to one place the last stays.  Indices below 0 count from the
end; one outside its axis is the caller's error: it is reported and skipped.  The block (see `bind/scatter.py`):

    target  indices  updates  cell  axis  count  ...        (`axis` is that of the first index)

    slices     width  parts  {length  stride}[parts]: update i goes to Σ index[i, j]·stride[j]
    elements   length  stride  rank  {extent  stride}[rank], innermost first
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.faults import report
from graphopt_kernels.cpu.memory import int_at, loader, storer
from graphopt_kernels.targets import Target


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel for `dtype`, indices of dtype `index`, `mode` (slices, elements) and `reduction` (none, add, ...)."""
    dtype, reduction = np.dtype(spec["dtype"]), str(spec["reduction"])
    size, index_at = dtype.itemsize, loader(np.dtype(spec["index"]))
    load, store = loader(dtype), storer(dtype)
    adds, multiplies, largest = reduction == "add", reduction == "mul", reduction == "max"
    combines = reduction != "none"

    @device
    def write(to: int, new: int) -> None:
        value = load(new, 0)
        if combines:
            old = load(to, 0)
            if adds:
                value = old + value
            elif multiplies:
                value = old * value
            elif largest:
                value = old if old > value or old != old else value
            else:
                value = old if old < value or old != old else value
        store(to, 0, value)

    @device
    def inside(block: int, index: int, part: int, length: int) -> int:
        """Where an index counts from the front; -1 where it lies outside, which is reported."""
        place = index + length if index < 0 else index
        if place < 0 or place >= length:
            report(int_at(block, 3), block, index, int_at(block, 4) + part, length)
            return -1
        return place

    def slices(block: int, member: int, team: int) -> None:
        if member:
            return
        width, parts = int_at(block, 6), int_at(block, 7)
        for row in range(int_at(block, 5)):
            offset, every = 0, True
            for j in range(parts):
                place = inside(block, int(index_at(int_at(block, 1), row * parts + j)), j, int_at(block, 8 + 2 * j))
                every = every and place >= 0
                offset += max(place, 0) * int_at(block, 9 + 2 * j)
            for i in range(width if every else 0):
                write(int_at(block, 0) + (offset + i) * size, int_at(block, 2) + (row * width + i) * size)

    def elements(block: int, member: int, team: int) -> None:
        if member:
            return
        length, stride, rank = int_at(block, 6), int_at(block, 7), int_at(block, 8)
        for i in range(int_at(block, 5)):
            rest, offset = i, 0
            for d in range(rank):
                extent = int_at(block, 9 + 2 * d)
                offset += rest % extent * int_at(block, 10 + 2 * d)
                rest //= extent
            place = inside(block, int(index_at(int_at(block, 1), i)), 0, length)
            if place >= 0:
                write(int_at(block, 0) + (offset + place * stride) * size, int_at(block, 2) + i * size)

    return elements if spec["mode"] == "elements" else slices
