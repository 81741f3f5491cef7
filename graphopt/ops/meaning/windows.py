"""Where the windows of a convolution or pooling lie: padding, stride, dilation, `auto_pad`, `ceil_mode`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.table import Call

Ints = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows over the spatial axes of one input."""

    spatial: Ints
    kernel: Ints
    strides: Ints
    dilations: Ints
    before: Ints
    after: Ints
    outputs: Ints
    """Windows along each axis."""

    def positions(self) -> Iterator[Ints]:
        """Every position inside a window."""
        return product(*(range(size) for size in self.kernel))

    def padded(self, x: np.ndarray, fill: Any) -> np.ndarray:
        """The input (leading axes kept) with its padding, long enough for the last window of each axis."""
        lead = x.ndim - len(self.spatial)
        lengths = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in self._axes()]
        shape = [
            max(length, before + size) for length, before, size in zip(lengths, self.before, self.spatial, strict=True)
        ]
        out = np.full((*x.shape[:lead], *shape), fill, x.dtype)
        out[(..., *(slice(b, b + n) for b, n in zip(self.before, self.spatial, strict=True)))] = x
        return out

    def at(self, padded: np.ndarray, position: Ints) -> np.ndarray:
        """The elements that all windows have at one position: a view, with one element a window."""
        cut = [
            slice(p * d, p * d + (o - 1) * s + 1 if o else p * d, s)
            for p, (o, s, _, d) in zip(position, self._axes(), strict=True)
        ]
        return padded[(..., *cut)]

    def _axes(self) -> list[tuple[int, int, int, int]]:
        return list(zip(self.outputs, self.strides, self.kernel, self.dilations, strict=True))


def windows_of(call: Call, spatial: Sequence[int], kernel: Sequence[int]) -> Windows:
    """The windows that a call's attributes put over an input of the spatial shape; ModelError where none fits."""
    rank = len(spatial)
    kernel = tuple(int(k) for k in call.attributes.get("kernel_shape") or kernel)
    strides = tuple(int(s) for s in call.attributes.get("strides") or (1,) * rank)
    dilations = tuple(int(d) for d in call.attributes.get("dilations") or (1,) * rank)
    if not len(kernel) == len(strides) == len(dilations) == rank:
        raise ModelError(f"kernel {kernel}, strides {strides} and dilations {dilations} do not fit {rank} axes")
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    auto = str(call.attributes.get("auto_pad") or "NOTSET")
    if auto.startswith("SAME"):
        outputs = [-(-n // s) for n, s in zip(spatial, strides, strict=True)]
        totals = [max((o - 1) * s + e - n, 0) for o, s, e, n in zip(outputs, strides, extent, spatial, strict=True)]
        less, more = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
        before, after = (less, more) if auto == "SAME_UPPER" else (more, less)
        return Windows(tuple(spatial), kernel, strides, dilations, before, after, tuple(outputs))
    pads = (
        (0,) * (2 * rank)
        if auto == "VALID"
        else tuple(int(p) for p in call.attributes.get("pads") or (0,) * (2 * rank))
    )
    before, after = pads[:rank], pads[rank:]
    ceil = bool(call.attributes.get("ceil_mode", 0))
    outputs = [
        _count(n, b, a, e, s, ceil) for n, b, a, e, s in zip(spatial, before, after, extent, strides, strict=True)
    ]
    return Windows(tuple(spatial), kernel, strides, dilations, before, after, tuple(outputs))


def _count(size: int, before: int, after: int, extent: int, stride: int, ceil: bool) -> int:
    room = size + before + after - extent
    if room < 0:
        return 0 if not ceil or room <= -stride else 1
    count = room // stride + 1
    if ceil and room % stride:
        # a window that would start in the padding at the end is not one
        count += (count * stride) < size + before
    return count
