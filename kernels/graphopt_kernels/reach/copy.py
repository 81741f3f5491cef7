"""What a strided copy touches (`cpu/copy.py`)."""

from __future__ import annotations

from graphopt_kernels.reach.block import Block, Reach, nest, require

TARGET, SOURCE, MODE, OUTER, LOOPS = range(5)
ANY, TURNED, FILL = range(3)


def reach(block: Block) -> list[Reach]:
    """Target and source by their strides; a fill has no source."""
    size, loops = int(block.spec["size"]), 2 + block.count(OUTER)
    block.words(LOOPS + 3 * loops)
    mode = block.number(MODE)
    require(mode in (ANY, TURNED, FILL), f"a copy has no mode {mode}")
    to, of = (block.dims(LOOPS, loops, 3, column) for column in (1, 2))
    require(all(step for n, step in to if n > 1), "a copy writes to one place again and again")
    if mode == TURNED:  # the code takes these strides for granted
        require(to[0][1] == 1 and of[1][1] == 1, "a transposed copy needs contiguous columns and rows")
    if mode == FILL:
        require(not any(step for _, step in of), "a fill has one element and steps through many")
        return [nest(TARGET, size, to)]
    return [nest(TARGET, size, to), nest(SOURCE, size, of)]
