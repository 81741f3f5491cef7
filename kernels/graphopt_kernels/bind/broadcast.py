"""Numpy's broadcasting as strides, with dimensions joined wherever all operands allow it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Nest:
    """A loop nest over operands: sizes outermost first, and each operand's strides in elements (0: repeated)."""

    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    """`strides[operand][dimension]`."""


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a C-contiguous array, in elements."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def broadcast_strides(shape: Sequence[int], full: Sequence[int], name: str = "an operand") -> tuple[int, ...]:
    """The strides that read a C-contiguous array of `shape` as one of `full`; ValueError where it cannot be."""
    lead = len(full) - len(shape)
    if lead < 0 or any(size not in (1, target) for size, target in zip(shape, full[lead:], strict=False)):
        raise ValueError(f"{name} of shape {list(shape)} does not broadcast to {list(full)}")
    own = contiguous_strides(shape)
    return (0,) * lead + tuple(0 if size == 1 else stride for size, stride in zip(shape, own, strict=True))


def joined(sizes: Sequence[int], strides: Sequence[Sequence[int]]) -> Nest:
    """The same nest with sizes of 1 left out and neighbours joined where every operand steps through them evenly."""
    kept: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(sizes):
        if size == 1:
            continue
        here = [row[axis] for row in strides]
        if kept and all(s[-1] == stride * size for s, stride in zip(steps, here, strict=True)):
            kept[-1] *= size
            for s, stride in zip(steps, here, strict=True):
                s[-1] = stride
            continue
        kept.append(size)
        for s, stride in zip(steps, here, strict=True):
            s.append(stride)
    return Nest(tuple(kept), tuple(tuple(s) for s in steps))


def broadcast_nest(shapes: Sequence[Sequence[int]], full: Sequence[int]) -> Nest:
    """The joined nest of operands of these shapes, all read as `full`."""
    return joined(full, [broadcast_strides(shape, full) for shape in shapes])
