"""Operators of detection networks: suppression of overlapping boxes, aligned pooling of regions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphopt.ops.meaning.operands import scalar
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning


@meaning("NonMaxSuppression")
def _non_max_suppression(call: Call) -> tuple[np.ndarray]:
    boxes, scores = (x.astype(np.float64) for x in call.inputs[:2])
    most = int(_number(call.input(2), 0))
    overlap = float(_number(call.input(3), 0.0))
    least = None if call.input(4) is None else float(scalar(call.inputs[4]))
    if call.attributes.get("center_point_box", 0):
        centre, half = boxes[..., :2], boxes[..., 2:] / 2
        low, high = centre - half, centre + half
    else:
        low, high = np.minimum(boxes[..., :2], boxes[..., 2:]), np.maximum(boxes[..., :2], boxes[..., 2:])
    chosen: list[tuple[int, int, int]] = []
    for batch in range(scores.shape[0]):
        for kind in range(scores.shape[1]):
            kept = _suppressed(low[batch], high[batch], scores[batch, kind], most, overlap, least)
            chosen += [(batch, kind, box) for box in kept]
    return (np.array(chosen, np.int64).reshape(-1, 3),)


def _number(value: Any, default: float) -> float:
    return default if value is None else scalar(value)


def _suppressed(
    low: np.ndarray, high: np.ndarray, scores: np.ndarray, most: int, overlap: float, least: float | None
) -> list[int]:
    area = np.prod(high - low, axis=1)
    left = [int(i) for i in np.argsort(-scores, kind="stable") if least is None or scores[i] > least]
    kept: list[int] = []
    while left and len(kept) < most:
        best, *left = left
        kept.append(best)
        rest = np.array(left, np.int64)
        sides = np.minimum(high[best], high[rest]) - np.maximum(low[best], low[rest])
        shared = np.prod(np.maximum(sides, 0.0), axis=1)
        union = area[best] + area[rest] - shared
        left = [int(i) for i in rest[~(shared > overlap * union)]]
    return kept


@meaning("RoiAlign")
def _roi_align(call: Call) -> tuple[np.ndarray]:
    x, rois, images = call.inputs
    a = call.attributes
    height, width = int(a.get("output_height", 1)), int(a.get("output_width", 1))
    scale = float(a.get("spatial_scale", 1.0))
    mode = str(a.get("coordinate_transformation_mode", "half_pixel" if call.version >= 16 else "output_half_pixel"))
    shift = 0.5 if mode == "half_pixel" else 0.0
    y = np.zeros((len(rois), x.shape[1], height, width))
    for i, (roi, image) in enumerate(zip(widened(rois), images, strict=True)):
        left, top, right, bottom = roi * scale - shift
        tall, wide = bottom - top, right - left
        if mode != "half_pixel":
            tall, wide = max(tall, 1.0), max(wide, 1.0)
        rows = _samples(top, tall, height, int(a.get("sampling_ratio", 0)))
        columns = _samples(left, wide, width, int(a.get("sampling_ratio", 0)))
        taken = _bilinear(widened(x[int(image)]), rows.ravel(), columns.ravel(), str(a.get("mode", "avg")) == "max")
        cells = taken.reshape(x.shape[1], height, rows.shape[1], width, columns.shape[1], 4)
        if not cells.size:
            continue  # nothing is sampled: 0
        y[i] = cells.max(axis=(2, 4, 5)) if a.get("mode", "avg") == "max" else cells.sum(axis=5).mean(axis=(2, 4))
    return (rounded(y, x.dtype),)


def _samples(start: float, size: float, cells: int, ratio: int) -> np.ndarray:
    """Where each cell is sampled: (cells, samples); nowhere where the region has no extent and no ratio is given."""
    count = ratio or max(math.ceil(size / cells), 0)
    step = size / cells
    return start + step * np.arange(cells)[:, None] + step * (np.arange(count) + 0.5) / max(count, 1)


def _bilinear(image: np.ndarray, rows: np.ndarray, columns: np.ndarray, apart: bool) -> np.ndarray:
    """The four weighted neighbours of each sample, (channels, rows, columns, 4); 0 for samples outside.

    `max` takes the largest of the weighted neighbours, `avg` their sum, as the operator's first implementation does.
    """
    parts: list[np.ndarray] = []
    (r0, r1, dr, inside_r), (c0, c1, dc, inside_c) = (
        _neighbours(rows, image.shape[1]),
        _neighbours(columns, image.shape[2]),
    )
    inside = inside_r[:, None] & inside_c[None, :]
    for r, wr in ((r0, 1 - dr), (r1, dr)):
        for c, wc in ((c0, 1 - dc), (c1, dc)):
            weight = np.where(inside, wr[:, None] * wc[None, :], 0.0)
            parts.append(image[:, r][:, :, c] * weight)
    return np.stack(parts, axis=-1)


def _neighbours(at: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    inside = (at >= -1.0) & (at <= size)
    at = np.maximum(at, 0.0)
    low = np.minimum(np.floor(at).astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    return low, high, np.where(low >= size - 1, 0.0, at - low), inside
