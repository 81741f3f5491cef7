"""Which family serves which operator: the list that lowering asks, and the binders that the runtime calls."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Scratch

FAMILIES: tuple[str, ...] = (
    "matmul",
    "matmul_integer",
    "convolution",
    "elementwise",
    "copy",
    "reduction",
    "softmax",
    "normalization",
    "pooling",
    "gather",
    "quantization",
    "remap",
    "scatter",
)
"""Modules of this package, in order of preference where two serve one operator."""


class Family(Protocol):
    """What a module `bind/<family>.py` offers (see docs/add-a-kernel.md)."""

    @property
    def OPERATORS(self) -> Container[str]:  # noqa: N802 - a module's constant
        """The operators it serves: ONNX names, or `domain::Name` outside the default domain."""
        ...

    def select(
        self, op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
    ) -> tuple[KernelSpec, ...] | None:
        """The machine code that `bind` may launch; None when the family does not serve this."""
        ...

    def bind(
        self,
        inputs: Sequence[Operand | None],
        outputs: Sequence[Operand],
        attributes: Mapping[str, Any],
        scratch: Scratch,
    ) -> list[Launch]:
        """The launches that compute the outputs (`abi.Binder`); `reach.hold` holds them against the operands."""
        ...


@cache
def family(name: str) -> Family:
    """The family of that name; KeyError when there is none."""
    if name not in FAMILIES:
        raise KeyError(name)
    return cast(Family, import_module(f"graphopt_kernels.bind.{name}"))


def families_for(op: str) -> tuple[str, ...]:
    """The families that may serve an operator, best first; ask each one's `select`."""
    return tuple(name for name in FAMILIES if op in family(name).OPERATORS)
