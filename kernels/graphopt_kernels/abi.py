"""The door between compiled kernels and whoever calls them.  Imports numpy alone: the runtime stands on it.

A kernel is one machine-code function with one signature,

    void symbol(int64_t *block, int64_t member, int64_t team)

`block` is its argument block: a row of int64 fields (addresses, sizes, strides in elements; floats as the bit
pattern of a float64).  `team` threads call the same symbol with the same block and members 0..team-1; each does
its share, and the caller puts a barrier between two calls.  A kernel never allocates: what it needs beside its
operands is scratch, asked for when it is bound.

    KernelSpec   which machine code: a family and what specialises its inner loop → `symbol`
    Operand      one array as the binder sees it: dtype, shape, where it will lie
    Launch       one call, bound to shapes: spec and fields, addresses still relative (`Ref`)

An address never travels without the bounds of what it points into.  `reach/hold.py` holds what the machine code of a
launch touches against them; whoever binds a launch calls it.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np


@dataclass(frozen=True, slots=True, order=True)
class KernelSpec:
    """Which machine code is meant: the family, and the parameters that change its inner loop.

    Parameters are names with int or str values, sorted by name: the same spec is the same code on every machine.
    `revision` counts where the code of a family came to read its block otherwise, or touched what it must not: what an
    older bundle holds then has another symbol, and is never launched.
    """

    family: str
    parameters: tuple[tuple[str, int | str], ...] = ()

    @classmethod
    def of(cls, family: str, **parameters: int | str) -> KernelSpec:
        """The spec with the parameters in canonical order."""
        return cls(family, tuple(sorted(parameters.items())))

    def __getitem__(self, name: str) -> Any:
        return dict(self.parameters)[name]

    @property
    def text(self) -> str:
        """The spec in words: `matmul(dtype=float32,epilogue=relu)`."""
        return f"{self.family}({','.join(f'{k}={v}' for k, v in self.parameters)})"

    @property
    def symbol(self) -> str:
        """The exported name of the machine code, a C identifier that is a function of the spec alone."""
        return _symbol(self)


@cache
def _symbol(spec: KernelSpec) -> str:
    return f"graphopt_{spec.family}_{hashlib.sha256(spec.text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class Ref:
    """An address that is not yet known: `offset` bytes into a buffer of the caller.

    Through it only the bytes `begin` to `end` of that buffer may be touched: those of the operand it points into.
    """

    buffer: int
    offset: int
    begin: int
    end: int

    @classmethod
    def to(cls, buffer: int, offset: int, nbytes: int) -> Ref:
        """The beginning of an operand of `nbytes`."""
        return cls(buffer, offset, offset, offset + nbytes)

    def moved(self, nbytes: int) -> Ref:
        """Another place in the same operand."""
        return Ref(self.buffer, self.offset + nbytes, self.begin, self.end)


@dataclass(frozen=True, slots=True)
class Operand:
    """One array of a call: C-contiguous, at `ref`.  `value` holds the elements of constants and of shape operands."""

    dtype: np.dtype
    shape: tuple[int, ...]
    ref: Ref
    value: np.ndarray | None = None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size * self.dtype.itemsize


Field: TypeAlias = int | float | Ref


@dataclass(frozen=True, slots=True)
class Launch:
    """One call of a kernel, bound to shapes.  `work` is its cost in scalar operations (1 thread below a threshold)."""

    spec: KernelSpec
    fields: tuple[Field, ...]
    work: int = 0

    @property
    def symbol(self) -> str:
        """The name of its machine code."""
        return self.spec.symbol


Scratch: TypeAlias = Callable[[int], Ref]
"""`scratch(nbytes)` asks for memory that lives for one call, aligned to 64 bytes."""

Binder: TypeAlias = Callable[[Sequence[Operand | None], Sequence[Operand], Mapping[str, Any], Scratch], "list[Launch]"]
"""`bind(inputs, outputs, attributes, scratch)`: the launches that compute outputs from inputs; [] when empty."""


def float_field(value: float) -> int:
    """The int64 with the bit pattern of a float64, as blocks carry floats."""
    return struct.unpack("<q", struct.pack("<d", value))[0]
