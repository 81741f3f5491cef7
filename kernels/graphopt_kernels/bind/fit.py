"""Whether operands fit each other: one sentence that names the operand, what was expected and what came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphopt_kernels.abi import Operand


def of_shape(name: str, operand: Operand | None, expected: Sequence[int]) -> None:
    """Return when the operand is left out or has exactly this shape; ValueError otherwise."""
    if operand is not None and tuple(operand.shape) != tuple(expected):
        raise ValueError(f"the shape of {name} is {list(operand.shape)} where {list(expected)} is expected")


def of_size(name: str, operand: Operand | None, *expected: int) -> None:
    """Return when the operand is left out or has as many elements as one of the numbers; ValueError otherwise."""
    if operand is not None and operand.size not in expected:
        wanted = " or ".join(str(number) for number in sorted(set(expected)))
        raise ValueError(f"the size of {name} is {operand.size} ({list(operand.shape)}) where {wanted} is expected")


def of_rank(name: str, operand: Operand, least: int, most: int | None = None) -> None:
    """Return when the operand has that many dimensions; ValueError otherwise."""
    rank = len(operand.shape)
    if rank < least or (most is not None and rank > most):
        wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        raise ValueError(f"the rank of {name} is {rank} ({list(operand.shape)}) where {wanted} is expected")


def of_dtype(name: str, operand: Operand | None, expected: np.dtype | str) -> None:
    """Return when the operand is left out or has exactly this dtype; ValueError otherwise."""
    if operand is not None and operand.dtype != np.dtype(expected):
        raise ValueError(f"the dtype of {name} is {operand.dtype} where {np.dtype(expected)} is expected")
