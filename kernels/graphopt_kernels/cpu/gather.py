"""Picking slices by indices that are data: Gather, GatherElements, GatherND.

Indices below 0 count from the end.  An index outside its axis is the caller's error: it is reported, and element 0 is
taken for it, so that no memory but the operand's is read.  The block (see `bind/gather.py`):

    data  indices  output  cell  axis  count  ...        (`axis` is that of the first index)

    slices     width  parts  per_batch  batch_stride  repeats  {length  stride}[parts]
               row i of `count` is `width` elements of batch i // per_batch, at Σ index[i mod repeats, j]·stride[j]
    elements   length  stride  rank  {extent  stride}[rank], innermost first
               each element comes from its own position, but for one axis of that length and stride
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.faults import report
from graphopt_kernels.cpu.memory import copy_bytes, copy_element, int_at, loader, share_low
from graphopt_kernels.targets import Target


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The kernel for elements of `size` bytes, indices of dtype `index`, and `mode` (slices, elements)."""
    size, index_at = int(spec["size"]), loader(np.dtype(spec["index"]))

    @device
    def inside(block: int, index: int, part: int, length: int) -> int:
        place = index + length if index < 0 else index
        if place < 0 or place >= length:
            report(int_at(block, 3), block, index, int_at(block, 4) + part, length)
            return 0
        return place

    def slices(block: int, member: int, team: int) -> None:
        count, width, parts = int_at(block, 5), int_at(block, 6), int_at(block, 7)
        per_batch, batch_stride = int_at(block, 8), int_at(block, 9)
        repeats = int_at(block, 10)
        for row in range(share_low(count, 1, member, team), share_low(count, 1, member + 1, team)):
            offset = row // per_batch * batch_stride
            at = row % repeats * parts
            for j in range(parts):
                index = int(index_at(int_at(block, 1), at + j))
                offset += inside(block, index, j, int_at(block, 11 + 2 * j)) * int_at(block, 12 + 2 * j)
            of, to = int_at(block, 0) + offset * size, int_at(block, 2) + row * width * size
            if width * size >= 64:
                copy_bytes(to, of, width * size)
            else:
                for i in range(width):
                    copy_element(to + i * size, of + i * size, size)

    def elements(block: int, member: int, team: int) -> None:
        count, length, stride, rank = int_at(block, 5), int_at(block, 6), int_at(block, 7), int_at(block, 8)
        for i in range(share_low(count, 64, member, team), share_low(count, 64, member + 1, team)):
            rest, offset = i, 0
            for d in range(rank):
                extent = int_at(block, 9 + 2 * d)
                offset += rest % extent * int_at(block, 10 + 2 * d)
                rest //= extent
            offset += inside(block, int(index_at(int_at(block, 1), i)), 0, length) * stride
            copy_element(int_at(block, 2) + i * size, int_at(block, 0) + offset * size, size)

    return elements if spec["mode"] == "elements" else slices
