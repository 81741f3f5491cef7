"""Plain-loop twins of matrix products and convolutions, in float64, one element at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np


def product(
    a: np.ndarray,
    b: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    *,
    alpha: float = 1.0,
    low: float = -math.inf,
    high: float = math.inf,
) -> np.ndarray:
    """clip(alpha·A·B + bias + residual) of matrices [..., m, k] and [..., k, n], batch dimensions broadcast."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    a, b = np.broadcast_to(a, (*batch, m, k)), np.broadcast_to(b, (*batch, k, n))
    result = np.zeros((*batch, m, n), a.dtype)
    for index in np.ndindex(*result.shape):
        *outer, i, j = index
        total = 0.0
        for p in range(k):
            total += float(a[(*outer, i, p)]) * float(b[(*outer, p, j)])
        total *= alpha
        for addend in (bias, residual):
            if addend is not None:
                total += float(np.broadcast_to(addend, result.shape)[index])
        result[index] = clip(total, low, high)
    return result


def clip(value: float, low: float, high: float) -> float:
    """The value between its bounds; NaN stays NaN."""
    return value if math.isnan(value) else min(max(value, low), high)


def convolution(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    residual: np.ndarray | None = None,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    group: int = 1,
    low: float = -math.inf,
    high: float = math.inf,
) -> np.ndarray:
    """ONNX Conv: x [n, c, ...], w [o, c / group, ...], pads begins then ends, over any number of spatial dimensions."""
    rank = x.ndim - 2
    kernel = w.shape[2:]
    extent = [
        (x.shape[2 + d] + pads[d] + pads[rank + d] - dilations[d] * (kernel[d] - 1) - 1) // strides[d] + 1
        for d in range(rank)
    ]
    result = np.zeros((x.shape[0], w.shape[0], *extent), x.dtype)
    per_group = w.shape[0] // group
    for n, o, *place in np.ndindex(*result.shape):
        total = 0.0 if bias is None else float(bias[o])
        for c in range(w.shape[1]):
            for tap in itertools.product(*(range(size) for size in kernel)):
                at = [place[d] * strides[d] - pads[d] + tap[d] * dilations[d] for d in range(rank)]
                if all(0 <= at[d] < x.shape[2 + d] for d in range(rank)):
                    channel = (o // per_group) * w.shape[1] + c
                    total += float(x[(n, channel, *at)]) * float(w[(o, c, *tap)])
        if residual is not None:
            total += float(residual[(n, o, *place)])
        result[(n, o, *place)] = clip(total, low, high)
    return result


def transposed_convolution(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
    group: int = 1,
) -> np.ndarray:
    """ONNX ConvTranspose: x [n, c, ...], w [c, o / group, ...]; every input element adds its weights to the output."""
    rank = x.ndim - 2
    kernel = w.shape[2:]
    extent = [
        strides[d] * (x.shape[2 + d] - 1) + output_padding[d] + (kernel[d] - 1) * dilations[d] + 1
        - pads[d] - pads[rank + d]
        for d in range(rank)
    ]  # fmt: skip
    result = np.zeros((x.shape[0], w.shape[1] * group, *extent), np.float64)
    per_group = x.shape[1] // group
    for n, c, *place in np.ndindex(*x.shape):
        for o in range(w.shape[1]):
            for tap in itertools.product(*(range(size) for size in kernel)):
                at = [place[d] * strides[d] - pads[d] + tap[d] * dilations[d] for d in range(rank)]
                if all(0 <= at[d] < extent[d] for d in range(rank)):
                    value = float(x[(n, c, *place)]) * float(w[(c, o, *tap)])
                    result[(n, c // per_group * w.shape[1] + o, *at)] += value
    if bias is not None:
        result += bias.reshape(1, -1, *[1] * rank)
    return result.astype(x.dtype)
