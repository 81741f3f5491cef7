"""What is known of a value before it is computed: element type, shape, container."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from graphopt.ir.dim import Dim
from graphopt.ir.dtype import DType

Shape: TypeAlias = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class TensorType:
    """A dense tensor; `shape` is None when not even the rank is known, `dtype` None when undeclared."""

    dtype: DType | None
    shape: Shape | None = None

    @property
    def rank(self) -> int | None:
        """The number of dimensions, if known."""
        return None if self.shape is None else len(self.shape)

    @property
    def static_shape(self) -> tuple[int, ...] | None:
        """The shape when every dimension is a number, else None."""
        if self.shape is None:
            return None
        dims = tuple(dim for dim in self.shape if isinstance(dim, int))
        return dims if len(dims) == len(self.shape) else None

    def __str__(self) -> str:
        dims = "?" if self.shape is None else ", ".join(map(str, self.shape))
        return f"{self.dtype or '?'}[{dims}]"


@dataclass(frozen=True, slots=True)
class SequenceType:
    """A list of values of one type."""

    element: Type

    def __str__(self) -> str:
        return f"seq({self.element})"


@dataclass(frozen=True, slots=True)
class OptionalType:
    """A value of the element type, or nothing."""

    element: Type

    def __str__(self) -> str:
        return f"optional({self.element})"


@dataclass(frozen=True, slots=True)
class OpaqueType:
    """A type the compiler carries but does not look into (map, sparse tensor): its TypeProto, serialised."""

    proto: bytes

    def __str__(self) -> str:
        return "opaque"


Type: TypeAlias = TensorType | SequenceType | OptionalType | OpaqueType
