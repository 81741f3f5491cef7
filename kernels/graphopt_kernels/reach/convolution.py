"""What a convolution touches (`cpu/convolution.py`); its geometry serves `depthwise` and `col2im` too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from graphopt_kernels.bind import convolution as f
from graphopt_kernels.bind.matmul import PANEL_BYTES
from graphopt_kernels.reach.block import Block, Reach, flat, require

FARTHEST = 1 << 31
"""Elements along an axis: vectors of places have lanes of 32 bits."""
LANES = 64
"""The most places that are worked out at once, be they asked for or not."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The spatial side of a block, in elements."""

    inside: int
    pixels: int
    taps: int


def shape_of(block: Block) -> Shape:
    """The products of the rows IN, OUT and KERNEL; ValueError where places along an axis would not fit 32 bits."""
    block.words(f.WORDS)
    sizes = block.counts(range(f.IN, f.IN + f.RANK))
    out, kernel, stride, dilation = (
        block.counts(range(row, row + f.RANK), 1) for row in (f.OUT, f.KERNEL, f.STRIDE, f.DILATION)
    )
    for axis in range(f.RANK):
        pad = abs(block.number(f.PAD + axis))
        far = (out[axis] + LANES) * stride[axis] + kernel[axis] * dilation[axis] + pad + sizes[axis]
        require(far < FARTHEST, f"a convolution reaches over {far} elements of an axis; places there have 32 bits")
    return Shape(math.prod(sizes), math.prod(out), math.prod(kernel))


def reach(block: Block) -> list[Reach]:
    """Whole images, the rows of weights, and of the scratch what each member's panels take."""
    dtype, shape = np.dtype(str(block.spec["dtype"])), shape_of(block)
    size, panels = dtype.itemsize, -(-shape.pixels * dtype.itemsize // PANEL_BYTES)
    members, together = block.counts((f.MEMBERS, f.PANELS), 1)
    member_bytes, channels = block.counts((f.MEMBER_BYTES, f.CHANNELS))
    channels_together = block.count(f.C_BLOCK, min(1, channels))
    room = min(together, panels) * channels_together * shape.taps * PANEL_BYTES
    require(room <= member_bytes, f"the panels of a member take {room} bytes where it has {member_bytes}")
    scratch = flat(f.SCRATCH, (members - 1) * member_bytes + room)
    return [*images(block, shape, size, channels), scratch]


def images(block: Block, shape: Shape, size: int, channels: int) -> list[Reach]:
    """Input, weights, output, bias and residual of a block with so many channels a group."""
    number, groups, outputs = block.counts((f.N, f.GROUPS, f.OUTPUTS), 1)
    row, rows, made = block.count(f.W_ROW), groups * outputs, number * groups * outputs * shape.pixels * size
    found = [
        flat(f.X, number * groups * channels * shape.inside * size),
        flat(f.W, ((rows - 1) * row + channels * shape.taps) * size if channels else 0),
        flat(f.Y, made),
    ]
    return [*found, *addends(block, rows * size, made)]


def addends(block: Block, bias: int, residual: int) -> list[Reach]:
    """Bias and residual, where they are given."""
    return [flat(x, nbytes) for x, nbytes in ((f.BIAS, bias), (f.RESIDUAL, residual)) if block.given(x)]
