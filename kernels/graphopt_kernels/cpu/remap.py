"""Copies in which each axis of the result picks from the source's by a table: padding by reflection, resizing.

The block (see `bind/remap.py`): source  target  rank  rows  {size}[rank]  {table}[rank], innermost axis first.  A table
holds for each index of its axis the offset in the source, in elements; `rows` is the product of the other sizes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.memory import copy_bytes, int_at, loader, share_low, storer
from graphopt_kernels.targets import Target

_ELEMENT = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.int64}


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The copy for elements of `spec["size"]` bytes; with `whole` rows, the innermost axis is copied as it is."""
    size, whole = int(spec["size"]), bool(spec["whole"])
    load, store = loader(_ELEMENT[size]), storer(_ELEMENT[size])

    @device
    def offset_of(block: int, row: int) -> int:
        """Where the row's part of the source begins."""
        rank = int_at(block, 2)
        table = 4 + rank + int_at(block, 4)
        total = 0
        for d in range(1, rank):
            extent = int_at(block, 4 + d)
            total += int_at(block, table + row % extent)
            row //= extent
            table += extent
        return total * size

    def kernel(block: int, member: int, team: int) -> None:
        rows, width, table = int_at(block, 3), int_at(block, 4), block + 8 * (4 + int_at(block, 2))
        for row in range(share_low(rows, 1, member, team), share_low(rows, 1, member + 1, team)):
            source = int_at(block, 0) + offset_of(block, row)
            to = int_at(block, 1) + row * width * size
            if whole:
                copy_bytes(to, source + int_at(table, 0) * size, width * size)
            else:
                for i in range(width):
                    store(to, i, load(source, int_at(table, i)))

    return kernel
