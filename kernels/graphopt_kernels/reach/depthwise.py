"""What a depthwise convolution touches (`cpu/depthwise.py`)."""

from __future__ import annotations

import numpy as np

from graphopt_kernels.reach.block import Block, Reach
from graphopt_kernels.reach.convolution import images, shape_of


def reach(block: Block) -> list[Reach]:
    """As a convolution of one channel a group, without scratch."""
    return images(block, shape_of(block), np.dtype(str(block.spec["dtype"])).itemsize, 1)
