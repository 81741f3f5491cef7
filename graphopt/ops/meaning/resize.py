"""Resize and Upsample: one axis after the other, each by a list of neighbours and their weights, in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.operands import axes_of
from graphopt.ops.meaning.precision import is_float, rounded, widened
from graphopt.ops.table import Call, meaning


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis to be resized."""

    axis: int
    size: int
    scale: float
    start: float = 0.0
    end: float = 1.0
    length: int = 0
    """The size it has now."""


@meaning("Resize")
def _resize(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    attributes = dict(call.attributes)
    if call.version < 11:  # opset 10 has scales alone, and takes the pixel at or before the coordinate
        attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        roi, scales, sizes = None, call.input(1), None
    else:
        roi, scales, sizes = call.input(1), call.input(2), call.input(3)
    chosen = axes_of(list(attributes.get("axes") or range(x.ndim)), x.ndim)
    scales = None if scales is None or not np.size(scales) else [float(s) for s in np.asarray(scales)]
    sizes = None if sizes is None or not np.size(sizes) else symbolic.ints(np.asarray(sizes))
    if (scales is None) == (sizes is None):
        raise ModelError("exactly one of scales and sizes is needed")
    crop = attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    corners = np.asarray(roi).astype(np.float64) if crop and roi is not None else None
    axes = _axes(x, chosen, scales, sizes, corners, str(attributes.get("keep_aspect_ratio_policy", "stretch")))
    return (_resized(x, axes, attributes),)


@meaning("Upsample")
def _upsample(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    scales = [float(s) for s in call.attributes.get("scales", call.input(1))]
    mode = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    mode["mode"] = str(call.attributes.get("mode", "nearest"))
    return (_resized(x, _axes(x, tuple(range(x.ndim)), scales, None, None, "stretch"), mode),)


def _axes(
    x: np.ndarray,
    axes: Sequence[int],
    scales: list[float] | None,
    sizes: list[int] | None,
    corners: np.ndarray | None,
    policy: str,
) -> list[_Axis]:
    spans = [(0.0, 1.0)] * len(axes)
    if corners is not None:
        spans = [(float(corners[i]), float(corners[i + len(axes)])) for i in range(len(axes))]
    made: list[_Axis] = []
    if sizes is not None and policy != "stretch":
        ratios = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
        ratio = min(ratios) if policy == "not_larger" else max(ratios)
        sizes = [math.floor(ratio * x.shape[axis] + 0.5) for axis in axes]
        scales = [ratio] * len(axes)
    for i, axis in enumerate(axes):
        n, (start, end) = x.shape[axis], spans[i]
        if sizes is None:
            assert scales is not None
            size = math.floor(n * (end - start) * scales[i])
            made.append(_Axis(axis, size, scales[i], start, end, n))
        else:
            scale = scales[i] if scales is not None else (sizes[i] / n if n else 1.0)
            made.append(_Axis(axis, sizes[i], scale, start, end, n))
    return made


def _resized(x: np.ndarray, axes: list[_Axis], attributes: Mapping[str, Any]) -> np.ndarray:
    y = x if attributes.get("mode", "nearest") == "nearest" else widened(x).astype(np.float64)
    crop = attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize"
    outside = np.zeros([1] * x.ndim, np.bool_)
    for axis in axes:
        at = _coordinates(axis, str(attributes.get("coordinate_transformation_mode", "half_pixel")))
        if crop:
            beyond = (at < 0) | (at > axis.length - 1)
            outside = outside | beyond.reshape([-1 if i == axis.axis else 1 for i in range(x.ndim)])
        elif axis.size == axis.length and axis.scale == 1.0:
            continue
        y = _along(y, axis, at, attributes)
    if not is_float(x.dtype) and y.dtype != x.dtype:
        y = np.clip(np.rint(y), np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    y = rounded(y, x.dtype)
    if crop:
        fill = np.asarray(float(attributes.get("extrapolation_value", 0.0))).astype(x.dtype)
        y = np.where(outside, fill, y)
    return y


def _coordinates(axis: _Axis, mode: str) -> np.ndarray:
    """Where each element of the result lies, in coordinates of the input."""
    at, n, size, scale = np.arange(axis.size, dtype=np.float64), axis.length, axis.size, axis.scale
    match mode:
        case "half_pixel":
            return (at + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (at + 0.5) / scale - 0.5 if size > 1 else np.zeros(size)
        case "half_pixel_symmetric":
            return n / 2 * (1 - size / (scale * n)) + (at + 0.5) / scale - 0.5
        case "align_corners":
            return at * (n - 1) / (size - 1) if size > 1 else np.zeros(size)
        case "asymmetric":
            return at / scale
        case "tf_half_pixel_for_nn":
            return (at + 0.5) / scale
        case "tf_crop_and_resize":
            start, end = axis.start * (n - 1), axis.end * (n - 1)
            return start + at * (end - start) / (size - 1) if size > 1 else np.full(size, 0.5 * (start + end))
        case _:
            raise ModelError(f"coordinate_transformation_mode {mode!r} is not known")


def _along(x: np.ndarray, axis: _Axis, at: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray:
    mode = str(attributes.get("mode", "nearest"))
    if mode == "nearest":
        where = _nearest(at, str(attributes.get("nearest_mode", "round_prefer_floor")))
        return np.take(x, np.clip(where, 0, axis.length - 1), axis=axis.axis)
    where, weights = _weights(axis, at, mode, attributes)
    if attributes.get("exclude_outside", 0):
        weights = np.where((where < 0) | (where >= axis.length), 0.0, weights)
        weights = weights / weights.sum(axis=1, keepdims=True)
    moved = np.moveaxis(x, axis.axis, -1)
    near = moved[..., np.clip(where, 0, max(axis.length - 1, 0))]
    return np.moveaxis((near * weights).sum(axis=-1), -1, axis.axis)


def _nearest(at: np.ndarray, mode: str) -> np.ndarray:
    rounding = {
        "round_prefer_floor": lambda v: np.ceil(v - 0.5),
        "round_prefer_ceil": lambda v: np.floor(v + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    return rounding[mode](at).astype(np.int64)


def _weights(axis: _Axis, at: np.ndarray, mode: str, attributes: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Neighbours (size, taps) and their weights; an antialiasing filter is stretched when the axis shrinks."""
    reach = 1 if mode == "linear" else 2
    stretch = min(axis.scale, 1.0) if attributes.get("antialias", 0) else 1.0
    base = np.floor(at)
    first, last = math.floor(-reach / stretch) + 1, math.ceil(reach / stretch)
    taps = np.arange(first, last + 1)
    where = (base[:, None] + taps).astype(np.int64)
    distance = np.abs(where - at[:, None]) * stretch
    if mode == "linear":
        weights = np.clip(1.0 - distance, 0.0, 1.0)
    else:
        weights = _cubic(distance, float(attributes.get("cubic_coeff_a", -0.75)))
    return where, weights / weights.sum(axis=1, keepdims=True)


def _cubic(d: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel (IEEE Trans. ASSP 29(6), 1981)."""
    inner = ((a + 2) * d - (a + 3)) * d * d + 1
    outer = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, inner, np.where(d < 2, outer, 0.0))
