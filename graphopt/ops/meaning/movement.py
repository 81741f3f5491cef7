"""Operators that cut, join, repeat and pad."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.operands import axes_of, axis_of, operand, scalar
from graphopt.ops.table import Call, meaning


@meaning("Concat")
def _concat(call: Call) -> tuple[np.ndarray]:
    parts = [np.asarray(part) for part in call.inputs]
    return (np.concatenate(parts, axis=axis_of(int(call.attributes.get("axis", 1)), parts[0].ndim)),)


@meaning("Split")
def _split(call: Call) -> tuple[np.ndarray, ...]:
    x = call.inputs[0]
    axis = axis_of(int(call.attributes.get("axis", 0)), x.ndim)
    sizes = operand(call, "split", 1)
    if sizes is None:
        count = int(call.attributes.get("num_outputs", call.outputs))
        chunk = -(-x.shape[axis] // count)
        sizes = [max(0, min(chunk, x.shape[axis] - i * chunk)) for i in range(count)]
    if sum(sizes) != x.shape[axis] or any(size < 0 for size in sizes):
        raise ModelError(f"parts of {sizes} do not make up {x.shape[axis]}")
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=axis))


@meaning("Slice")
def _slice(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    starts, ends = operand(call, "starts", 1) or [], operand(call, "ends", 2) or []
    axes = operand(call, "axes", 3)
    steps = operand(call, "steps", 4) or [1] * len(starts)
    axes = list(range(len(starts))) if axes is None else axes
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes_of(axes, x.ndim), starts, ends, steps, strict=True):
        cut[axis] = slice(start, end, step)  # numpy clamps as ONNX's text does, for both signs of the step
    return (x[tuple(cut)],)


@meaning("Tile")
def _tile(call: Call) -> tuple[np.ndarray]:
    return (np.tile(call.inputs[0], symbolic.ints(call.inputs[1])),)


@meaning("Pad")
def _pad(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    pads = operand(call, "pads", 1) or []
    axes = symbolic.ints(call.inputs[3]) if call.input(3) is not None else list(range(x.ndim))
    if len(pads) != 2 * len(axes):
        raise ModelError(f"{len(pads)} pads for {len(axes)} axes")
    widths = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes_of(axes, x.ndim)):
        widths[axis] = (pads[i], pads[i + len(axes)])
    value = call.attributes.get("value", 0.0) if call.version < 11 else call.input(2)
    return (padded(x, widths, str(call.attributes.get("mode", "constant")), value),)


def padded(x: np.ndarray, widths: list[tuple[int, int]], mode: str = "constant", value: Any = None) -> np.ndarray:
    """The array with each axis lengthened, or cut where a width is negative, at both ends."""
    cut = tuple(
        slice(max(0, -before), max(dim - max(0, -after), 0))
        for dim, (before, after) in zip(x.shape, widths, strict=True)
    )
    grown = [(max(0, before), max(0, after)) for before, after in widths]
    if mode != "constant":
        return np.pad(x[cut], grown, mode=mode)  # pyright: ignore[reportCallIssue, reportArgumentType]  # 'reflect', 'edge' and 'wrap'
    if value is None:
        fill: Any = "" if x.dtype == object else np.zeros((), x.dtype)[()]
    else:
        fill = np.asarray(value).reshape(-1)[0]
    core = x[cut]
    out = np.full([dim + b + a for dim, (b, a) in zip(core.shape, grown, strict=True)], fill, x.dtype)
    out[tuple(slice(b, b + dim) for dim, (b, _) in zip(core.shape, grown, strict=True))] = core
    return out


@meaning("CenterCropPad")
def _center_crop_pad(call: Call) -> tuple[np.ndarray]:
    x, wanted = call.inputs[0], symbolic.ints(call.inputs[1])
    axes = axes_of(list(call.attributes.get("axes", range(x.ndim))), x.ndim)
    widths = [(0, 0)] * x.ndim
    for axis, size in zip(axes, wanted, strict=True):
        extra = size - x.shape[axis]
        before = extra // 2 if extra >= 0 else -(-extra // 2)
        widths[axis] = (before, extra - before)
    return (padded(x, widths),)


@meaning("Trilu")
def _trilu(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    k = int(scalar(call.inputs[1])) if call.input(1) is not None else 0
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    kept = columns - rows >= k if call.attributes.get("upper", 1) else columns - rows <= k
    return (np.where(kept, x, np.zeros((), x.dtype)),)


@meaning("Compress")
def _compress(call: Call) -> tuple[np.ndarray]:
    x, condition = call.inputs
    axis = call.attributes.get("axis")
    return (np.compress(condition, x, None if axis is None else axis_of(int(axis), x.ndim)),)


@meaning("NonZero")
def _non_zero(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    found = np.atleast_2d(np.array(np.nonzero(np.atleast_1d(x)), np.int64))
    return (found[:0].reshape(0, found.shape[1]) if x.ndim == 0 else found,)


@meaning("Unique")
def _unique(call: Call) -> tuple[np.ndarray, ...]:
    x = call.inputs[0]
    axis = call.attributes.get("axis")
    axis = None if axis is None else axis_of(int(axis), x.ndim)
    source = x.astype(str) if x.dtype == object else x
    values, first, inverse, counts = np.unique(source, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not call.attributes.get("sorted", 1):
        order = np.argsort(first, kind="stable")  # by first appearance
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        values = np.take(values, order, axis=axis)
        first, counts, inverse = first[order], counts[order], rank[inverse]
    values = values.astype(object) if x.dtype == object else values
    return (values, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64))
