"""The weights block as it is written: constants as kernels read them, each once, each aligned to 64 bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from graphopt.ir.constant import Constant, Fill
from graphopt.ir.dtype import DType
from graphopt.program import Weight
from graphopt.runtime.arena import aligned
from graphopt.runtime.memory import joined


class WeightStore:
    """Collects constants in the order in which they are added; equal bytes are kept once."""

    def __init__(self) -> None:
        self.table: list[Weight] = []
        self.nbytes = 0
        self._parts: list[np.ndarray] = []
        self._offsets: dict[tuple[bytes, int], int] = {}
        self._indices: dict[Weight, int] = {}

    def add_constant(self, constant: Constant) -> int:
        """The number of the weight that holds a constant; a fill stays one element."""
        if isinstance(constant, Fill) and constant.dtype is not DType.STRING:
            element = np.asarray(constant.element, constant.dtype.numpy)
            return self._add(element, constant.dtype, constant.shape, fill=True)
        return self.add_array(constant.array(), constant.dtype)

    def add_array(self, array: np.ndarray, dtype: DType) -> int:
        """The number of the weight that holds an array."""
        if dtype is DType.STRING:
            return self._add(_string_bytes(array), dtype, array.shape)
        return self._add(array, dtype, array.shape)

    def parts(self) -> Iterator[bytes | memoryview]:
        """The block, piece by piece: `nbytes` in all."""
        for part in self._parts:
            yield part.tobytes()
            yield bytes(-part.nbytes % 64)

    def block(self) -> np.ndarray:
        """The block in memory, aligned to 64 bytes."""
        return joined(self._parts)

    def _add(self, array: np.ndarray, dtype: DType, shape: tuple[int, ...], *, fill: bool = False) -> int:
        array = np.ascontiguousarray(array)
        raw = array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
        key = (hashlib.sha256(raw.data).digest(), raw.nbytes)
        offset = self._offsets.get(key)
        if offset is None:
            offset = self._offsets[key] = self.nbytes
            self._parts.append(raw)
            self.nbytes += aligned(raw.nbytes)
        weight = Weight(offset, raw.nbytes, dtype, tuple(int(dim) for dim in shape), fill)
        index = self._indices.get(weight)
        if index is None:
            index = self._indices[weight] = len(self.table)
            self.table.append(weight)
        return index


def _string_bytes(array: np.ndarray) -> np.ndarray:
    encoded = [item if isinstance(item, bytes) else str(item).encode("utf-8", "surrogateescape") for item in array.flat]
    ends = np.cumsum([len(item) for item in encoded], dtype=np.int64)
    return np.frombuffer(ends.tobytes() + b"".join(encoded), np.uint8)
