"""Operators that move elements without looking at them, as strided copies.

Transpose, Concat, Split, Slice, Expand, Tile, Pad, ConstantOfShape, DepthToSpace, SpaceToDepth, and the operators that
only give an array another shape (for callers that cannot alias).  What each one copies stands in `moves.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import joined
from graphopt_kernels.bind.fit import of_dtype
from graphopt_kernels.bind.moves import MOVES, Move

OPERATORS = frozenset(MOVES)
SIZES = (1, 2, 4, 8)
TILE_LEAST = 8


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """The copy of the first input's element size; None for sizes without a kernel and for what cannot be a copy."""
    dtype = _dtype_moved(op, dtypes, attributes)
    if dtype is None or dtype.itemsize not in SIZES or dtype.hasobject:
        return None
    if op == "Pad" and attributes.get("mode", "constant") not in ("constant", b"constant"):
        return None
    return (copy_spec(dtype.itemsize),)


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch for each part of the result that is contiguous in index space; outputs must not overlap inputs."""
    op = str(attributes["op"])
    dtype = outputs[0].dtype
    moved = [] if op == "ConstantOfShape" else inputs if op == "Concat" else inputs[:1]
    for name, operand in (
        *((f"input {slot}", x) for slot, x in enumerate(moved)),
        *(("an output", x) for x in outputs),
    ):
        of_dtype(name, operand, dtype)
    moves = MOVES[op](inputs, outputs, attributes)
    return [launch_of(move, dtype.itemsize) for move in moves if 0 not in move.sizes]


def _dtype_moved(op: str, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]) -> np.dtype | None:
    if op == "ConstantOfShape":
        value = attributes.get("value")
        return np.dtype(np.float32) if value is None else np.asarray(value).dtype
    return dtypes[0] if dtypes else None


def copy_spec(size: int) -> KernelSpec:
    """The copy of elements of that many bytes."""
    return KernelSpec.of("copy", size=size)


def launch_of(move: Move, size: int) -> Launch:
    """The launch of a move: loops joined, the target's contiguous one innermost, tiles where it is not the source's."""
    nest = joined(move.sizes, [move.target_strides, move.source_strides])
    loops = [list(loop) for loop in zip(nest.sizes, *nest.strides, strict=True)][::-1]
    inner = next((i for i, (_, to, _) in enumerate(loops) if to == 1), 0)
    if loops:
        loops.insert(0, loops.pop(inner))
    mode = 2 if isinstance(move.source, int) else 0
    if loops and loops[0][1] == 1 and loops[0][2] not in (0, 1):
        partner = next((i for i, (_, _, of) in enumerate(loops) if of == 1 and i), 0)
        if partner and loops[partner][0] >= TILE_LEAST and loops[0][0] >= TILE_LEAST:
            loops.insert(1, loops.pop(partner))
            mode = 1
    while len(loops) < 2:
        loops.append([1, 0, 0])
    source = move.source if isinstance(move.source, int) else move.source.moved(move.source_offset * size)
    fields: list[Field] = [move.target.moved(move.target_offset * size), source, mode, len(loops) - 2]
    for loop in loops:
        fields += loop
    work = 1
    for length in move.sizes:
        work *= length
    return Launch(copy_spec(size), tuple(fields), work)
