"""Pooling: what a window holds, reduced to one element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphopt.ops.meaning.precision import is_float, rounded, widened
from graphopt.ops.meaning.windows import Windows, windows_of
from graphopt.ops.table import Call, meaning


@meaning("MaxPool")
def _max_pool(call: Call) -> tuple[np.ndarray, ...]:
    x = call.inputs[0]
    windows = windows_of(call, x.shape[2:], call.attributes["kernel_shape"])
    lowest: Any = -np.inf if is_float(x.dtype) else np.iinfo(x.dtype).min
    padded = windows.padded(widened(x), lowest)
    best = np.full((*x.shape[:2], *windows.outputs), lowest, padded.dtype)
    if call.outputs == 1:
        for position in windows.positions():
            best = np.maximum(best, windows.at(padded, position))
        return (rounded(best, x.dtype),)
    places = windows.padded(_places(x, int(call.attributes.get("storage_order", 0))), -1)
    where = np.full(best.shape, -1, np.int64)
    for position in windows.positions():
        here, place = windows.at(padded, position), windows.at(places, position)
        better = (place >= 0) & ((where < 0) | (here > best))
        best, where = np.where(better, here, best), np.where(better, place, where)
    return (rounded(best, x.dtype), where)


def _places(x: np.ndarray, storage_order: int) -> np.ndarray:
    """The number of each element, counted through the whole tensor; columns first where `storage_order` is 1."""
    inside = np.arange(math.prod(x.shape[2:]), dtype=np.int64)
    inside = inside.reshape(x.shape[2:][::-1]).T if storage_order else inside.reshape(x.shape[2:])
    planes = np.arange(x.shape[0] * x.shape[1], dtype=np.int64).reshape(*x.shape[:2], *[1] * (x.ndim - 2))
    return planes * inside.size + inside


@meaning("AveragePool")
def _average_pool(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    windows = windows_of(call, x.shape[2:], call.attributes["kernel_shape"])
    padded = windows.padded(widened(x), 0.0)
    total = sum((windows.at(padded, p) for p in windows.positions()), np.zeros(()))
    counted = _counted(windows, bool(call.attributes.get("count_include_pad", 0)))
    return (rounded(total / counted, x.dtype),)


def _counted(windows: Windows, with_padding: bool) -> np.ndarray:
    """How many elements of each window count: not what `ceil_mode` adds beyond the padding."""
    before = (0,) * len(windows.before) if with_padding else windows.before
    sizes = [
        n + b + a if with_padding else n for n, b, a in zip(windows.spatial, windows.before, windows.after, strict=True)
    ]
    inside = Windows(
        tuple(sizes), windows.kernel, windows.strides, windows.dilations, before, (0,) * len(before), windows.outputs
    )
    ones = inside.padded(np.ones(sizes), 0.0)
    return sum((inside.at(ones, p) for p in inside.positions()), np.zeros(()))


@meaning("LpPool")
def _lp_pool(call: Call) -> tuple[np.ndarray]:
    x, p = call.inputs[0], int(call.attributes.get("p", 2))
    windows = windows_of(call, x.shape[2:], call.attributes["kernel_shape"])
    padded = windows.padded(np.abs(widened(x)) ** p, 0.0)
    total = sum((windows.at(padded, position) for position in windows.positions()), np.zeros(()))
    return (rounded(total ** (1.0 / p), x.dtype),)


@meaning("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def _global_pool(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    wide, axes = widened(x), tuple(range(2, x.ndim))
    if call.op == "GlobalMaxPool":
        lowest: Any = -np.inf if is_float(x.dtype) else np.iinfo(x.dtype).min
        y = wide.max(axis=axes, keepdims=True, initial=lowest)  # of no elements, as ReduceMax
    elif call.op == "GlobalAveragePool":
        y = wide.mean(axis=axes, keepdims=True)
    else:
        p = int(call.attributes.get("p", 2))
        y = (np.abs(wide) ** p).sum(axis=axes, keepdims=True) ** (1.0 / p)
    return (rounded(y, x.dtype),)


@meaning("MaxUnpool")
def _max_unpool(call: Call) -> tuple[np.ndarray]:
    x, places = call.inputs[:2]
    kernel = call.attributes["kernel_shape"]
    rank = len(kernel)
    strides = call.attributes.get("strides") or (1,) * rank
    pads = call.attributes.get("pads") or (0,) * (2 * rank)
    inferred = [
        (n - 1) * s + k - b - a
        for n, s, k, b, a in zip(x.shape[2:], strides, kernel, pads[:rank], pads[rank:], strict=True)
    ]
    small = np.zeros((*x.shape[:2], *inferred), x.dtype)
    wanted = call.input(2)
    if wanted is None:
        small.reshape(-1)[places.reshape(-1)] = x.reshape(-1)
        return (small,)
    # the indices count through the tensor as it was inferred, not through the larger one that is asked for
    out = np.zeros(tuple(int(v) for v in wanted), x.dtype)
    small.reshape(-1)[places.reshape(-1)] = x.reshape(-1)
    out[tuple(slice(0, n) for n in small.shape)] = small
    return (out,)


@meaning("MaxRoiPool")
def _max_roi_pool(call: Call) -> tuple[np.ndarray]:
    x, rois = call.inputs
    height, width = (int(v) for v in call.attributes["pooled_shape"])
    scale = float(call.attributes.get("spatial_scale", 1.0))
    y = np.zeros((len(rois), x.shape[1], height, width), x.dtype)
    for roi, out in zip(rois, y, strict=True):
        left, top, right, bottom = (math.floor(float(v) * scale + 0.5) for v in roi[1:])
        tall, wide = max(bottom - top + 1, 1) / height, max(right - left + 1, 1) / width
        for i in range(height):
            for j in range(width):
                rows = slice(*_inside(top, i, tall, x.shape[2]))
                columns = slice(*_inside(left, j, wide, x.shape[3]))
                cell = x[int(roi[0]), :, rows, columns]
                out[:, i, j] = cell.max(axis=(1, 2)) if cell.size else 0
    return (y,)


def _inside(start: int, cell: int, size: float, limit: int) -> tuple[int, int]:
    low, high = math.floor(cell * size) + start, math.ceil((cell + 1) * size) + start
    return min(max(low, 0), limit), min(max(high, 0), limit)
