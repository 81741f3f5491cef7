"""Offsets for buffers that live for a while: two may share bytes when they do not live at the same time.

Greedy by size: the largest buffer is placed first, each at the lowest offset where nothing that lives with it is in
the way (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT = 64


@dataclass(slots=True)
class Lifetime:
    """A buffer of `nbytes`, alive from the step `first` to the step `last`, both included."""

    nbytes: int
    first: int
    last: int


def aligned(nbytes: int) -> int:
    """The next multiple of 64."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def place(buffers: Sequence[Lifetime]) -> tuple[list[int], int]:
    """An offset for each buffer, aligned to 64, and the bytes all of them need together."""
    offsets = [0] * len(buffers)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last: sorted by offset
    total = 0
    for index in sorted(range(len(buffers)), key=lambda i: (-buffers[i].nbytes, buffers[i].first, i)):
        buffer = buffers[index]
        size = aligned(buffer.nbytes)
        offset = 0
        for start, end, first, last in placed:
            if last < buffer.first or buffer.last < first:
                continue
            if offset + size <= start:
                break
            offset = max(offset, end)
        offsets[index] = offset
        total = max(total, offset + size)
        entry = (offset, offset + size, buffer.first, buffer.last)
        _insert(placed, entry)
    return offsets, total


def _insert(placed: list[tuple[int, int, int, int]], entry: tuple[int, int, int, int]) -> None:
    low, high = 0, len(placed)
    while low < high:
        middle = (low + high) // 2
        if placed[middle][0] <= entry[0]:
            low = middle + 1
        else:
            high = middle
    placed.insert(low, entry)
