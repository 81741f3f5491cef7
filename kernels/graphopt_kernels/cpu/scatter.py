"""Writing slices or elements to places that are data: ScatterElements, ScatterND, after the data has been copied.

One member does it all, in order, so that of two writes to one place the last stays.  Indices below 0 count from the
end; one outside its axis is the caller's error and is skipped.  The block (see `bind/scatter.py`):

    target  indices  updates  count  ...

    slices     width  parts  {length  stride}[parts]: update i goes to Σ index[i, j]·stride[j]
    elements   length  stride  rank  {extent  stride}[rank], innermost first
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import device
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

    def slices(block: int, member: int, team: int) -> None:
        if member:
            return
        width, parts = int_at(block, 4), int_at(block, 5)
        for row in range(int_at(block, 3)):
            offset, inside = 0, True
            for j in range(parts):
                index, length = int(index_at(int_at(block, 1), row * parts + j)), int_at(block, 6 + 2 * j)
                index = index + length if index < 0 else index
                inside = inside and 0 <= index < length
                offset += index * int_at(block, 7 + 2 * j)
            for i in range(width if inside else 0):
                write(int_at(block, 0) + (offset + i) * size, int_at(block, 2) + (row * width + i) * size)

    def elements(block: int, member: int, team: int) -> None:
        if member:
            return
        length, stride, rank = int_at(block, 4), int_at(block, 5), int_at(block, 6)
        for i in range(int_at(block, 3)):
            rest, offset = i, 0
            for d in range(rank):
                extent = int_at(block, 7 + 2 * d)
                offset += rest % extent * int_at(block, 8 + 2 * d)
                rest //= extent
            index = int(index_at(int_at(block, 1), i))
            index = index + length if index < 0 else index
            if 0 <= index < length:
                write(int_at(block, 0) + (offset + index * stride) * size, int_at(block, 2) + i * size)

    return elements if spec["mode"] == "elements" else slices
