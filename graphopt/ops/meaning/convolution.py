"""Convolutions: one product of matrices per position of the kernel, accumulated in float64.

Integer convolutions run in float64 as well, which holds their sums exactly (8-bit products, below 2^37 of them).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.meaning.windows import Windows, windows_of
from graphopt.ops.table import Call, meaning

_FEW_CHANNELS = 16
"""Below this many channels a group, columns are gathered first: products with so short an inner axis are slow."""


@meaning("Conv")
def _conv(call: Call) -> tuple[np.ndarray]:
    x, w, bias = call.inputs[0], call.inputs[1], call.input(2)
    y = convolve(call, widened(x), widened(w))
    if bias is not None:
        y += widened(bias).reshape(-1, *[1] * (y.ndim - 2))
    return (rounded(y, x.dtype),)


def convolve(call: Call, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The convolution of x (n, c, spatial...) with w (m, c / group, kernel...), float64, by a call's attributes."""
    group = int(call.attributes.get("group", 1))
    if x.ndim != w.ndim or x.shape[1] != w.shape[1] * group or w.shape[0] % group:
        raise ModelError(f"weights {list(w.shape)} in {group} groups do not fit {list(x.shape)}")
    windows = windows_of(call, x.shape[2:], w.shape[2:])
    n, m, length = x.shape[0], w.shape[0], math.prod(windows.outputs)
    columns = _columns(windows, x.reshape(n, group, w.shape[1], *x.shape[2:]))
    kernel = w.reshape(group, m // group, w.shape[1], math.prod(w.shape[2:]))
    if w.shape[1] < _FEW_CHANNELS and m > group:
        gathered = np.stack(list(columns), axis=3).reshape(n, group, math.prod(w.shape[1:]), length)
        y = np.matmul(kernel.reshape(group, m // group, math.prod(w.shape[1:])), gathered)
    else:
        y = np.zeros((n, group, m // group, length), x.dtype)
        for i, column in enumerate(columns):
            part = kernel[..., i]
            y += part * column if m == group == x.shape[1] else np.matmul(part, column)
    return y.reshape(n, m, *windows.outputs)


def _columns(windows: Windows, x: np.ndarray) -> Any:
    """For each kernel position, the elements it meets: (n, group, channels, windows)."""
    padded = windows.padded(x, 0)
    length = math.prod(windows.outputs)
    return (windows.at(padded, position).reshape(*x.shape[:3], length) for position in windows.positions())


@meaning("ConvTranspose")
def _conv_transpose(call: Call) -> tuple[np.ndarray]:
    x, w, bias = call.inputs[0], call.inputs[1], call.input(2)
    group, rank = int(call.attributes.get("group", 1)), x.ndim - 2
    strides = tuple(call.attributes.get("strides") or (1,) * rank)
    dilations = tuple(call.attributes.get("dilations") or (1,) * rank)
    extra = tuple(call.attributes.get("output_padding") or (0,) * rank)
    extent = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations, strict=True)]
    full = [s * (n - 1) + o + e for s, n, o, e in zip(strides, x.shape[2:], extra, extent, strict=True)]
    before, outputs = _cropped(call, x.shape[2:], strides, full)
    n, m = x.shape[0], w.shape[1] * group
    source = widened(x).reshape(n, group, x.shape[1] // group, math.prod(x.shape[2:]))
    kernel = widened(w).reshape(group, w.shape[0] // group, w.shape[1], *w.shape[2:])
    windows = Windows(tuple(full), w.shape[2:], strides, dilations, (0,) * rank, (0,) * rank, x.shape[2:])
    y = np.zeros((n, group, w.shape[1], *full), source.dtype)
    for position in windows.positions():
        part = np.matmul(np.swapaxes(kernel[(..., *position)], 1, 2), source)
        target = windows.at(y, position)  # a view: adding to it adds to y
        target += part.reshape(target.shape)
    y = y.reshape(n, m, *full)
    room = [(0, max(0, b + o - f)) for b, o, f in zip(before, outputs, full, strict=True)]
    y = np.pad(y, [(0, 0), (0, 0), *room])
    y = y[(..., *(slice(b, b + o) for b, o in zip(before, outputs, strict=True)))]
    if bias is not None:
        y = y + widened(bias).reshape(-1, *[1] * rank)
    return (rounded(y, x.dtype),)


def _cropped(
    call: Call, spatial: tuple[int, ...], strides: tuple[int, ...], full: list[int]
) -> tuple[list[int], list[int]]:
    """What is cut off at the start, and the size that stays."""
    auto, wanted = str(call.attributes.get("auto_pad", "NOTSET")), call.attributes.get("output_shape")
    pads = [int(p) for p in call.attributes.get("pads") or (0,) * (2 * len(full))]
    if wanted is None and auto.startswith("SAME"):
        wanted = [n * s for n, s in zip(spatial, strides, strict=True)]
    if wanted is None:
        pads = pads if auto != "VALID" else [0 for _ in pads]
        ends = zip(full, pads[: len(full)], pads[len(full) :], strict=True)
        return pads[: len(full)], [f - b - a for f, b, a in ends]
    outputs = [int(size) for size in wanted][-len(full) :]
    totals = [max(f - o, 0) for f, o in zip(full, outputs, strict=True)]
    before = [t // 2 if auto != "SAME_LOWER" else t - t // 2 for t in totals]
    return before, outputs


@meaning("ConvInteger")
def _conv_integer(call: Call) -> tuple[np.ndarray]:
    x, w = call.inputs[:2]
    y = convolve(call, x - _zero(call.input(2), 0), w - _zero(call.input(3), w.ndim - 1))
    return (y.astype(np.int64).astype(np.int32),)


def _zero(point: np.ndarray | None, trailing: int) -> np.ndarray:
    """A zero point in float64, per channel where it is a vector."""
    if point is None:
        return np.zeros((), np.float64)
    wide = np.asarray(point).astype(np.float64)
    return wide.reshape(-1, *[1] * trailing) if wide.size > 1 else wide.reshape(())


@meaning("QLinearConv")
def _qlinear_conv(call: Call) -> tuple[np.ndarray]:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = call.inputs[:8]
    y = convolve(call, x - _zero(x_zero, 0), w - _zero(w_zero, w.ndim - 1))
    if call.input(8) is not None:
        y += call.inputs[8].astype(np.float64).reshape(-1, *[1] * (w.ndim - 2))
    factor = x_scale.astype(np.float32) * w_scale.astype(np.float32) / y_scale.astype(np.float32)
    factor = factor.reshape(-1, *[1] * (w.ndim - 2)) if factor.size > 1 else factor.reshape(())
    ends = np.iinfo(y_zero.dtype)
    whole = np.rint(y.astype(np.float32) * factor).astype(np.float64) + float(np.asarray(y_zero).reshape(-1)[0])
    return (np.clip(whole, ends.min, ends.max).astype(y_zero.dtype),)


@meaning("Col2Im")
def _col2im(call: Call) -> tuple[np.ndarray]:
    columns = call.inputs[0]
    image = tuple(int(v) for v in call.inputs[1])
    block = tuple(int(v) for v in call.inputs[2])
    windows = windows_of(call, image, block)
    n, channels = columns.shape[0], columns.shape[1] // math.prod(block)
    parts = widened(columns).reshape(n, channels, math.prod(block), *windows.outputs)
    y = windows.padded(np.zeros((n, channels, *image), parts.dtype), 0)
    for i, position in enumerate(windows.positions()):
        target = windows.at(y, position)
        target += parts[:, :, i]
    cut = tuple(slice(b, b + size) for b, size in zip(windows.before, image, strict=True))
    return (rounded(y[(..., *cut)], columns.dtype),)
