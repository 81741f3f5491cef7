"""What an elementwise chain touches (`cpu/elementwise.py`)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from graphopt_kernels.chain import parse
from graphopt_kernels.reach.block import Block, Reach, nest, require

RANK, COLUMNS, ROWS, ADDRESSES = range(4)


def reach(block: Block) -> list[Reach]:
    """Inputs by their strides; outputs too, and their elements side by side where rows are short."""
    sizes, inputs = _operands(str(block.spec["body"]))
    count, rank = len(sizes), block.count(RANK)
    steps, outer = ADDRESSES + count, ADDRESSES + 2 * count
    block.words(outer + rank * (count + 1))
    columns, rows = block.counts((COLUMNS, ROWS), 1)
    every = math.prod(size for size, _ in block.dims(outer, rank, count + 1))
    require(rows == every, f"an elementwise call counts {rows} rows where its sizes give {every}")
    found: list[Reach] = []
    for j, size in enumerate(sizes):
        step = block.number(steps + j)
        require(step in (0, 1), f"an operand of a row steps by 0 or 1, not {step}")
        spread = nest(ADDRESSES + j, size, [(columns, step), *block.dims(outer, rank, count + 1, 1 + j)])
        high = spread.high if j < inputs else max(spread.high, columns * rows * size)
        found.append(Reach(ADDRESSES + j, spread.low, high))
    return found


@cache
def _operands(body: str) -> tuple[tuple[int, ...], int]:
    """The bytes of an element of each operand, inputs first, and the number of inputs."""
    chain = parse(body)
    names = (*chain.inputs, *(chain.dtype(o) for o in chain.outputs))
    return tuple(np.dtype(name).itemsize for name in names), len(chain.inputs)
