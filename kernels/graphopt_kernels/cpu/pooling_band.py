"""Pooling of planes with short rows, a band of output rows at a time.

A row by itself leaves most lanes of its vectors empty, and its second half waits for the stores of its first.  So the
rows of windows are combined for many output rows first, side by side in a buffer `pitch` elements apart, whatever plane
they belong to; then the columns of windows, along the whole buffer; then each row is finished and goes to its place.
Elements are combined in the order of `pooling.py`, so that a result does not tell which of the two computed it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt_kernels.cpu.device import device
from graphopt_kernels.cpu.lanes import WIDTH
from graphopt_kernels.cpu.memory import copy_bytes, int_at, stack, storer
from graphopt_kernels.cpu.pooling_row import RowCode

BAND = 1024
"""Elements of the buffer that hold rows."""
WIDEST = 128
"""The longest pitch: from here on a row has vectors enough of its own."""
FASTEST = 8
"""The largest stride along the width."""
ROOM = BAND + WIDEST + (FASTEST + 2) * WIDTH
"""Elements of the buffer, with those that the last vectors read beyond the rows."""


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


def make_band(code: RowCode, op: str, dtype: np.dtype) -> tuple[Callable[[int], int], Callable[[int, int, int], None]]:
    """`(rows_of, pool_rows)`: `rows_of(block)` is how many output rows, from the first on, may be pooled in bands (0:
    none); `pool_rows(block, r0, r1)` pools those output rows, counted through all planes."""
    size, store = dtype.itemsize, storer(dtype)
    clear, fold, finish = code.clear(), code.fold(), code.finish()
    narrow_one, narrow_two, narrow_any = code.narrow_along(1), code.narrow_along(2), code.narrow_along(0)
    buffer_memory, result_memory = stack(ROOM * size), stack((BAND + WIDTH) * size)
    room_memory, counts_memory = stack((WIDEST + WIDTH) * size), stack((WIDEST + WIDTH) * size)
    plain, averaged = op == "MaxPool", op == "AveragePool"

    @device
    def reach_of(width: int) -> int:
        """The input columns, padding among them, that the windows of a row cover."""
        return (int_at(width, 1) - 1) * int_at(width, 3) + (int_at(width, 2) - 1) * int_at(width, 4) + 1

    @device
    def inside(axis: int) -> bool:
        """Whether every window lies within the input along an axis."""
        return int_at(axis, 5) <= 0 and reach_of(axis) - int_at(axis, 5) <= int_at(axis, 0)

    @device
    def rows_of(block: int) -> int:
        depth, height, width = block + 48, block + 48 + 56, block + 48 + 112
        before, stride = int_at(width, 5), int_at(width, 3)
        reach = reach_of(width)
        used = min(int_at(width, 0), reach - before)
        if int_at(depth, 0) != 1 or int_at(depth, 1) != 1 or int_at(depth, 2) != 1 or int_at(depth, 5) != 0:
            return 0
        if before < 0 or used <= 0 or stride > FASTEST or reach + stride > WIDEST:
            return 0
        # whole vectors are read, which must end before the input does: some of its last rows may be left
        planes, rows, columns, down = int_at(block, 0), int_at(height, 0), int_at(width, 0), int_at(height, 1)
        vectors = (used + WIDTH - 1) // WIDTH * WIDTH
        left = planes * down
        while left > 0:
            row = left - 1
            lowest = (row % down) * int_at(height, 3) - int_at(height, 5) + (int_at(height, 2) - 1) * int_at(height, 4)
            line = row // down * rows + max(min(lowest, rows - 1), 0)
            if line * columns + vectors <= planes * rows * columns:
                break
            left -= 1
        return left

    @device
    def fold_rows(block: int, r0: int, r1: int, buffer: int, pitch: int, used: int) -> None:
        """The rows of windows of output rows r0..r1, combined, into the buffer."""
        height, columns = block + 48 + 56, int_at(block + 48 + 112, 0)
        rows, down, kernel = int_at(height, 0), int_at(height, 1), int_at(height, 2)
        stride, dilation, before = int_at(height, 3), int_at(height, 4), int_at(height, 5)
        within = inside(height)
        seamless = within and before == 0 and rows == down * stride
        line = columns * size
        r = r0
        while r < r1:
            plane = r // down
            h = r - plane * down
            top = h * stride - before
            skipped = 0 if top >= 0 else (-top + dilation - 1) // dilation
            fitting = 0 if top >= rows else (rows - 1 - top) // dilation + 1
            count = max(min(fitting, kernel) - skipped, 0)
            alike = 1  # rows whose windows lie alike
            if seamless:
                alike = r1 - r
            elif count == kernel:
                alike = min((rows - 1 - (kernel - 1) * dilation + before) // stride, down - 1) - h + 1
                alike = min(alike, r1 - r)
            source = int_at(block, 1) + (plane * rows + top + skipped * dilation) * line
            place = buffer + (r - r0) * pitch * size
            fold(place, pitch * size, source, stride * line, alike, dilation * line, count, used)
            r += alike

    @device
    def pool_rows(block: int, r0: int, r1: int) -> None:
        buffer, results, room, counts = buffer_memory(), result_memory(), room_memory(), counts_memory()
        height, width = block + 48 + 56, block + 48 + 112
        across, down, before = int_at(width, 1), int_at(height, 1), int_at(width, 5)
        kernel, stride, dilation, padded = int_at(width, 2), int_at(width, 3), int_at(width, 4), int_at(block, 5)
        reach = reach_of(width)
        step = (reach + stride - 1) // stride  # from one row of results to the next
        pitch, used = step * stride, min(int_at(width, 0), reach - before)
        close = step == across  # then rows of results follow each other without a gap
        even = not averaged or (inside(width) and inside(height))
        number = int_at(height, 2) * kernel
        if averaged:
            for w in range(WIDEST + WIDTH if not even else WIDTH):
                store(counts, w, number if even else counted(width, w, padded) if w < across else 1)
        clear(buffer, ROOM // WIDTH)
        most = BAND // pitch
        for begin in range(r0, r1, most):
            end = min(begin + most, r1)
            fold_rows(block, begin, end, buffer + before * size, pitch, used)
            to = int_at(block, 2) + begin * across * size
            total = (end - begin) * step
            vectors = (total + WIDTH - 1) // WIDTH
            straight = total // WIDTH if plain and close else 0  # these vectors go to their place at once
            for part in range(2):
                goal, first, last = (to, 0, straight) if part == 0 else (results, straight, vectors)
                source = buffer + first * WIDTH * stride * size
                if stride == 1:
                    narrow_one(source, stride, kernel, dilation, goal, last - first)
                elif stride == 2:
                    narrow_two(source, stride, kernel, dilation, goal, last - first)
                else:
                    narrow_any(source, stride, kernel, dilation, goal, last - first)
            if plain and close:
                copy_bytes(to + straight * WIDTH * size, results, (total - straight * WIDTH) * size)
            elif close and even:
                finish(results, counts, 0, 1, to, total // WIDTH)
                done = total // WIDTH * WIDTH
                if done < total:
                    finish(results + done * size, counts, 0, 1, room, 1)
                    copy_bytes(to + done * size, room, (total - done) * size)
            else:
                whole = (across + WIDTH - 1) // WIDTH
                for r in range(begin, end):
                    rows_counted = 1 if even else counted(height, r % down, padded)
                    source = results + (r - begin) * step * size
                    # what a row writes beyond its end, the next row overwrites: not so where another member's begin
                    if r * across + whole * WIDTH <= r1 * across:
                        finish(source, counts, 0 if even else 1, rows_counted, to, whole)
                    else:
                        finish(source, counts, 0 if even else 1, rows_counted, room, whole)
                        copy_bytes(to, room, across * size)
                    to += across * size

    return rows_of, pool_rows
