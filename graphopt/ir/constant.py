"""Constant tensors, lazy: nothing is read or expanded before a kernel or a pass needs the elements.

A `Constant` knows its element type, shape and size at no cost.  `array()` gives the elements, read-only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from graphopt.ir.dtype import DType


@runtime_checkable
class Constant(Protocol):
    """A tensor known at compile time."""

    @property
    def dtype(self) -> DType: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def array(self) -> np.ndarray:
        """The elements as a read-only array (strings as an object array of bytes, 4-bit types one a byte)."""
        ...


def size_of(constant: Constant) -> int:
    """Bytes the elements take in a file (packed; 0 for strings, whose size is not known before reading)."""
    count = 1
    for dim in constant.shape:
        count *= dim
    return (count * constant.dtype.bits + 7) // 8


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """Elements in memory."""

    elements: np.ndarray
    dtype: DType

    @classmethod
    def of(cls, elements: object, dtype: DType | None = None) -> Dense:
        """A constant from anything numpy turns into an array; the array is copied, so that nobody can change it."""
        array = np.array(elements, dtype=None if dtype is None else dtype.numpy, order="C")
        array.setflags(write=False)
        return cls(array, dtype or DType.of(array.dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.elements.shape

    def array(self) -> np.ndarray:
        return self.elements


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """One element repeated over a shape, never expanded before it is needed."""

    element: np.generic
    shape: tuple[int, ...]
    dtype: DType

    def array(self) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.element), self.shape)  # zero strides: no memory of its own


@dataclass(slots=True, eq=False)
class Deferred:
    """Elements that are decoded on first use, such as those of a TensorProto."""

    dtype: DType
    shape: tuple[int, ...]
    decode: Callable[[], np.ndarray]
    _elements: np.ndarray | None = field(default=None, repr=False)

    def array(self) -> np.ndarray:
        if self._elements is None:
            elements = self.decode()
            elements.setflags(write=False)
            self._elements = elements
        return self._elements


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """Elements in a file of external data, whose bytes are `file`; only for types numpy stores unpacked."""

    file: np.ndarray
    offset: int
    dtype: DType
    shape: tuple[int, ...]

    def array(self) -> np.ndarray:
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype.numpy)
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.numpy.itemsize
        return self.file[self.offset : self.offset + size].view(self.dtype.numpy).reshape(self.shape)
