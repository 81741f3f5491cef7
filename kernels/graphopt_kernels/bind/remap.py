"""Pad by reflection, edge and wrapping, and Resize to the nearest element: each axis of the result picks by a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import contiguous_strides
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_size
from graphopt_kernels.bind.moves import axis_of, pads_before, required

OPERATORS = frozenset(("Pad", "Resize"))
_COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric")
_ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def text_of(attributes: Mapping[str, Any], name: str, default: str) -> str:
    """A string attribute, decoded."""
    value = attributes.get(name, default)
    return value.decode() if isinstance(value, bytes) else str(value)


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """Rows copied whole, and rows picked; None for interpolation, antialiasing and cropping."""
    dtype = dtypes[0] if dtypes else None
    if dtype is None or dtype.hasobject or dtype.itemsize not in (1, 2, 4, 8):
        return None
    if op == "Pad" and text_of(attributes, "mode", "constant") not in ("reflect", "edge", "wrap"):
        return None
    if op == "Resize" and not _nearest(version, attributes):
        return None
    return tuple(_spec(dtype.itemsize, whole) for whole in (0, 1))


def _nearest(version: int, attributes: Mapping[str, Any]) -> bool:
    return (
        version >= 11
        and text_of(attributes, "mode", "nearest") == "nearest"
        and text_of(attributes, "coordinate_transformation_mode", "half_pixel") in _COORDINATES
        and text_of(attributes, "nearest_mode", "round_prefer_floor") in _ROUNDINGS
        and text_of(attributes, "keep_aspect_ratio_policy", "stretch") == "stretch"
        and not attributes.get("antialias")
    )


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch; ValueError where there is nothing to reflect, or where scales are not known."""
    source, target = required(inputs, 0), outputs[0]
    if target.size == 0:
        return []
    of_dtype("the output", target, source.dtype)
    of_rank("the output", target, len(source.shape), len(source.shape))
    if source.size == 0:
        raise ValueError(f"{attributes['op']} has nothing to pick from in a shape of {list(source.shape)}")
    tables = (_padded if attributes["op"] == "Pad" else _resized)(inputs, target, attributes)
    rank, whole = len(tables), 0
    if not rank:
        tables, rank = [np.zeros(1, np.int64)], 1
    strides = contiguous_strides(source.shape) or (1,)
    if (np.diff(tables[-1]) == 1).all():
        whole = 1
        while rank > 1 and (np.diff(tables[-2]) == 1).all() and len(tables[-1]) == math.prod(source.shape[rank - 1 :]):
            joined = (tables[-2][:, None] * len(tables[-1]) + tables[-1][None, :]).reshape(-1)
            tables, rank, strides = [*tables[:-2], joined], rank - 1, (*strides[: rank - 2], 1)
    sizes = [len(table) for table in tables]
    fields: list[Field] = [source.ref, target.ref, rank, target.size // sizes[-1], *sizes[::-1]]
    for table, stride in zip(tables[::-1], strides[::-1], strict=True):
        fields += [int(v) for v in table * stride]
    return [Launch(_spec(source.dtype.itemsize, whole), tuple(fields), target.size)]


def _padded(inputs: Sequence[Operand | None], target: Operand, attributes: Mapping[str, Any]) -> list[np.ndarray]:
    """For each axis, which element stands at each index."""
    source, mode = required(inputs, 0), text_of(attributes, "mode", "constant")
    before = pads_before(inputs, target, attributes)
    tables: list[np.ndarray] = []
    for axis, size in enumerate(source.shape):
        index = np.arange(target.shape[axis]) - before[axis]
        if mode == "edge":
            index = np.clip(index, 0, size - 1)
        elif mode == "wrap" or size == 1:
            index = index % size
        else:
            period = 2 * size - 2
            index = np.minimum(index % period, period - index % period)
        tables.append(index.astype(np.int64))
    return tables


def _resized(inputs: Sequence[Operand | None], target: Operand, attributes: Mapping[str, Any]) -> list[np.ndarray]:
    """For each axis, the nearest element."""
    source = required(inputs, 0)
    rank = len(source.shape)
    given = inputs[2] if len(inputs) > 2 else None
    axes = [axis_of(int(a), rank) for a in attributes.get("axes") or range(rank)]
    scales = [t / s for s, t in zip(source.shape, target.shape, strict=True)]
    if given is not None and given.size:
        if given.value is None:
            raise ValueError("the scales of Resize must be known when shapes are bound")
        factors = np.asarray(given.value, np.float32).reshape(-1)
        of_size("the scales", given, len(axes))
        if not (np.isfinite(factors).all() and (factors > 0).all()):
            raise ValueError(f"the scales of Resize are numbers above 0, not {factors.tolist()}")
        for axis, scale in zip(axes, factors, strict=True):
            scales[axis] = float(scale)
    return [
        nearest(size, count, scale, attributes)
        for size, count, scale in zip(source.shape, target.shape, scales, strict=True)
    ]


def nearest(size: int, count: int, scale: float, attributes: Mapping[str, Any]) -> np.ndarray:
    """Which of `size` elements stands at each of `count` indices (ONNX, Resize)."""
    if size == count and scale == 1:
        return np.arange(count)
    place = _place(size, count, scale, text_of(attributes, "coordinate_transformation_mode", "half_pixel"))
    rounding = text_of(attributes, "nearest_mode", "round_prefer_floor")
    whole = {
        "round_prefer_floor": np.ceil(place - 0.5),
        "round_prefer_ceil": np.floor(place + 0.5),
        "floor": np.floor(place),
        "ceil": np.ceil(place),
    }[rounding]
    return np.clip(whole, 0, size - 1).astype(np.int64)


def _place(size: int, count: int, scale: float, mode: str) -> np.ndarray:
    """Where each of `count` indices lies among `size` elements."""
    at = np.arange(count, dtype=np.float64)
    if mode == "asymmetric":
        return at / scale
    if mode == "align_corners":
        return at * (size - 1) / (count - 1) if count > 1 else at * 0
    if mode == "pytorch_half_pixel" and count == 1:
        return at * 0
    place = (at + 0.5) / scale - 0.5
    return place + size / 2 * (1 - count / (scale * size)) if mode == "half_pixel_symmetric" else place


def _spec(size: int, whole: int) -> KernelSpec:
    return KernelSpec.of("remap", size=size, whole=whole)
