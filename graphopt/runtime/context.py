"""The memory one run of a part needs: an arena, and argument blocks that hold every address that does not change."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np

from graphopt.errors import BundleError
from graphopt.runtime.memory import aligned_memory
from graphopt.runtime.native import Kernels
from graphopt.runtime.plan import ARENA, EXTERNAL, LITERALS, WEIGHTS, Native, Part, Tensor
from graphopt.runtime.weights import Weights
from graphopt_kernels.abi import Ref, float_field
from graphopt_kernels.faults import CELL_WORDS, FAULTS, TAKEN
from graphopt_kernels.team import Table


@dataclass(slots=True)
class Context:
    """A part bound to memory.  One run at a time may use it."""

    arena: np.ndarray
    blocks: np.ndarray
    """Argument blocks of all launches, one after the other."""
    words: ctypes.Array[ctypes.c_int64]
    """The memory of `blocks`: writing one word is faster here."""
    starts: list[int]
    """Where each launch's block begins in `blocks`."""
    patches: list[tuple[int, int, int]]
    """(word, external, offset): addresses to write before a run."""
    needs: list[int]
    """For each external the bytes that launches may touch of it."""
    cell: ctypes.Array[ctypes.c_int64] | None
    """Where launches report an index outside its axis (`graphopt_kernels/faults.py`); None where none does."""
    views: list[tuple[int, np.ndarray]]
    """Planned values as arrays, for the frame."""
    late: list[tuple[int, int, tuple[int, ...]]]
    """(value, external, shape): views of arrays that differ from run to run."""
    tables: list[Table]
    """One for each native action of the part, in order."""

    def forget(self) -> None:
        """Be ready for another run after one that failed."""
        if self.cell is not None:
            self.cell[TAKEN] = 0


def make_context(part: Part, weights: Weights, kernels: Kernels, *, stamped: bool = False) -> Context:
    """Memory for one run at a time of the part; `stamped` tables take the time of each launch.

    BundleError where a launch may touch more than there is of a buffer.
    """
    arena = aligned_memory(part.arena_bytes)
    cell = (ctypes.c_int64 * CELL_WORDS)()
    faults = np.ctypeslib.as_array(cell)
    buffers = {WEIGHTS: weights.block, LITERALS: part.literals, ARENA: arena, FAULTS: faults}
    bases = {number: block.ctypes.data for number, block in buffers.items()}
    needs = [0] * len(part.externals)
    words: list[int] = []
    starts: list[int] = []
    patches: list[tuple[int, int, int]] = []
    for launch in part.launches:
        starts.append(len(words))
        for field in launch.fields:
            match field:
                case Ref(buffer=buffer, offset=offset, end=end) if buffer >= EXTERNAL:
                    needs[buffer - EXTERNAL] = max(needs[buffer - EXTERNAL], end)
                    patches.append((len(words), buffer - EXTERNAL, offset))
                    words.append(0)
                case Ref(buffer=buffer, offset=offset, begin=begin, end=end):
                    if not 0 <= begin <= end <= buffers[buffer].nbytes:
                        raise BundleError(
                            f"{launch.spec.family} may touch the bytes {begin} to {end} of a block of"
                            f" {buffers[buffer].nbytes}"
                        )
                    words.append(bases[buffer] + offset)
                case float():
                    words.append(float_field(field))
                case _:
                    words.append(int(field))
        words.extend([0] * (-len(words) % 8))  # a cache line each
    blocks = np.array(words, np.int64) if words else np.zeros(1, np.int64)
    views: list[tuple[int, np.ndarray]] = []
    late: list[tuple[int, int, tuple[int, ...]]] = []
    for value, tensor in part.views:
        if tensor.buffer is not None and tensor.buffer >= EXTERNAL:
            late.append((value, tensor.buffer - EXTERNAL, tensor.shape))
        else:
            views.append((value, _view(tensor, arena, part.literals)))
    addresses = [blocks.ctypes.data + 8 * start for start in starts]
    tables: list[Table] = []
    for action in part.actions:
        if isinstance(action, Native):
            span = slice(action.first, action.first + action.count)
            tables.append(kernels.table(part.launches[span], addresses[span], stamped=stamped))
    cells = (ctypes.c_int64 * len(blocks)).from_address(blocks.ctypes.data)
    return Context(arena, blocks, cells, starts, patches, needs, cell if part.indexed else None, views, late, tables)


def _view(tensor: Tensor, arena: np.ndarray, literals: np.ndarray) -> np.ndarray:
    if tensor.buffer == ARENA:
        raw = arena[tensor.offset : tensor.offset + tensor.nbytes]
        return (raw.view(tensor.dtype) if raw.size else np.empty(0, tensor.dtype)).reshape(tensor.shape)
    if tensor.known is not None:
        return tensor.known
    raw = literals[tensor.offset : tensor.offset + tensor.nbytes]
    return raw.view(tensor.dtype).reshape(tensor.shape)
