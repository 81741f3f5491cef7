"""The constants of a bundle, as binding and meanings see them; nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.program import ValueInfo, Weight
from graphopt.runtime.plan import WEIGHTS, Bound, Opaque, Tensor


class Weights:
    """The weights block and its table.  `block` is a uint8 array that starts at a multiple of 64 bytes."""

    def __init__(self, table: Sequence[Weight], block: np.ndarray) -> None:
        self.table = table
        self.block = block
        self.address: int = block.ctypes.data
        self._bound: dict[int, Tensor] = {}

    def bound(self, index: int) -> Tensor:
        """The constant as a bound value: in place, or known alone where it has to be expanded first."""
        found = self._bound.get(index)
        if found is None:
            weight = self.table[index]
            array = self._elements(weight)
            in_place = not weight.fill and weight.dtype is not DType.STRING
            buffer = WEIGHTS if in_place else None
            found = Tensor(array.dtype, array.shape, buffer, weight.offset if in_place else 0, array)
            self._bound[index] = found
        return found

    def array(self, index: int) -> np.ndarray:
        """The elements, read-only."""
        found = self.bound(index).known
        assert found is not None
        return found

    def shape_only(self, info: ValueInfo) -> Bound:
        """What is known of a constant that only its packed form stands for."""
        if isinstance(info.type, TensorType) and info.type.dtype is not None and info.type.static_shape is not None:
            return Tensor(info.type.dtype.numpy, info.type.static_shape)
        return Opaque()

    def _elements(self, weight: Weight) -> np.ndarray:
        raw = self.block[weight.offset : weight.offset + weight.nbytes]
        if weight.dtype is DType.STRING:
            return _strings(raw, weight.shape)
        array = raw.view(weight.dtype.numpy) if raw.size else np.empty(0, weight.dtype.numpy)
        array = np.broadcast_to(array.reshape(()), weight.shape) if weight.fill else array.reshape(weight.shape)
        array.setflags(write=False)
        return array


def _strings(raw: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape, dtype=np.int64))
    ends = raw[: 8 * count].view(np.int64)
    text = raw[8 * count :].tobytes()
    starts = [0, *ends[:-1].tolist()] if count else []
    made = np.empty(count, object)
    made[:] = [text[a:b].decode("utf-8", "surrogateescape") for a, b in zip(starts, ends.tolist(), strict=True)]
    return made.reshape(shape)
