"""GridSample and AffineGrid: images sampled where a grid says."""

from __future__ import annotations

from itertools import product

import numpy as np

from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.precision import is_float, rounded, widened
from graphopt.ops.table import Call, meaning


@meaning("AffineGrid")
def _affine_grid(call: Call) -> tuple[np.ndarray]:
    theta, size = call.inputs[0], symbolic.ints(call.inputs[1])[2:]
    corners = bool(call.attributes.get("align_corners", 0))
    axes = [
        np.linspace(-1, 1, n) if corners and n > 1 else (np.arange(n) * 2 + 1) / n - 1 if not corners else np.zeros(n)
        for n in size
    ]
    mesh = np.meshgrid(*axes, indexing="ij")[::-1]  # the innermost coordinate comes first
    points = np.stack([*mesh, np.ones(size)], axis=-1)
    return (rounded(np.einsum("...k,nik->n...i", points, widened(theta)), theta.dtype),)


@meaning("GridSample")
def _grid_sample(call: Call) -> tuple[np.ndarray]:
    x, grid = call.inputs
    a = call.attributes
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(str(a.get("mode", "linear")), str(a.get("mode", "linear")))
    corners, padding = bool(a.get("align_corners", 0)), str(a.get("padding_mode", "zeros"))
    wide, size = widened(x).astype(np.float64), x.shape[2:]
    at = [
        _pixels(widened(grid)[..., len(size) - 1 - i], n, corners) for i, n in enumerate(size)
    ]  # (batch, out...) for each axis, outermost first
    if mode != "cubic":
        at = [_bounded(v, n, corners, padding) for v, n in zip(at, size, strict=True)]
    taps = [_taps(v, mode) for v in at]
    y = np.zeros((x.shape[0], x.shape[1], *grid.shape[1:-1]))
    for choice in product(*taps):
        weight = np.ones(grid.shape[:-1])
        places: list[np.ndarray] = []
        for (place, share), n in zip(choice, size, strict=True):
            inside = (place >= 0) & (place < n)
            moved = _bounded(place.astype(np.float64), n, corners, padding) if mode == "cubic" else place
            weight = weight * (np.where(inside, share, 0.0) if padding == "zeros" else share)
            places.append(np.clip(np.rint(moved), 0, n - 1).astype(np.int64))
        for batch in range(x.shape[0]):
            y[batch] += wide[batch][(slice(None), *(p[batch] for p in places))] * weight[batch]
    y = y if is_float(x.dtype) else np.rint(y)
    return (rounded(y, x.dtype),)


def _pixels(v: np.ndarray, n: int, corners: bool) -> np.ndarray:
    return (v + 1) / 2 * (n - 1) if corners else ((v + 1) * n - 1) / 2


def _bounded(v: np.ndarray, n: int, corners: bool, padding: str) -> np.ndarray:
    """The coordinate, brought inside as the padding mode says."""
    if padding == "border":
        return np.clip(v, 0, n - 1)
    if padding != "reflection":
        return v
    low, high = (0.0, n - 1.0) if corners else (-0.5, n - 0.5)
    span = high - low
    if span <= 0:
        return np.zeros_like(v)
    turned = np.mod(v - low, 2 * span)
    return np.clip(low + np.where(turned > span, 2 * span - turned, turned), 0, n - 1)


def _taps(v: np.ndarray, mode: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The neighbours of each coordinate along one axis, with their weights."""
    if mode == "nearest":
        return [(np.rint(v).astype(np.int64), np.ones_like(v))]
    base = np.floor(v)
    share = v - base
    first = base.astype(np.int64)
    if mode == "linear":
        return [(first, 1 - share), (first + 1, share)]
    return [(first + k, _cubic(np.abs(share - k))) for k in (-1, 0, 1, 2)]


def _cubic(d: np.ndarray, a: float = -0.75) -> np.ndarray:
    inner = ((a + 2) * d - (a + 3)) * d * d + 1
    outer = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, inner, np.where(d < 2, outer, 0.0))
