"""Packing a B that is not constant into panels, as `bind.matmul.pack_matrix` packs constants."""

from __future__ import annotations

from collections.abc import Callable

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.bind import matmul as f
from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.tile import PANEL_BYTES
from graphopt_kernels.cpu.words import float_word, make_load, make_store, word_at


def core(spec: KernelSpec) -> Callable[[int, int, int], None]:
    """The packing for `spec["dtype"]`."""
    dtype = spec["dtype"]
    itemsize = 4 if dtype == "float32" else 8
    panel = PANEL_BYTES // itemsize
    load, store = make_load(dtype), make_store(dtype)

    @device
    def pack_panel(source: int, target: int, k: int, count: int, row: int, column: int, scale: float) -> None:
        if count == panel and column == itemsize and scale == 1.0:
            for p in range(k):
                for j in range(panel):
                    store(target + (p * panel + j) * itemsize, load(source + p * row + j * itemsize))
            return
        for p in range(k):
            for j in range(count):
                store(target + (p * panel + j) * itemsize, load(source + p * row + j * column) * scale)
            for j in range(count, panel):
                store(target + (p * panel + j) * itemsize, 0.0)

    def matmul_pack(block: int, member: int, team: int) -> None:
        k, n = word_at(block, f.PACK_K), word_at(block, f.PACK_N)
        row, column = word_at(block, f.PACK_ROW) * itemsize, word_at(block, f.PACK_COLUMN) * itemsize
        scale = float_word(word_at(block, f.PACK_SCALE))
        panels = (n + panel - 1) // panel
        work = word_at(block, f.PACK_COUNT) * panels
        for unit in range(work * member // team, work * (member + 1) // team):
            index, p = unit // panels, unit % panels
            source = word_at(block, f.PACK_SOURCE) + index * word_at(block, f.PACK_BATCH) * itemsize
            target = word_at(block, f.PACK_TARGET) + unit * k * panel * itemsize
            pack_panel(source + p * panel * column, target, k, min(n - p * panel, panel), row, column, scale)

    return matmul_pack
