"""MatMulInteger: products of 8-bit integers, less their zero points, summed exactly in int32.

Inputs are (A, B, zero point of A?, zero point of B?): one number, one for each row of A, one for each column of B.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape
from graphopt_kernels.bind.matmul import MOST_CALLS

OPERATORS = frozenset({"MatMulInteger"})
DTYPES = ("uint8", "int8")

# fields of the argument block; strides in elements, which are bytes
A, B, C, A_ZERO, B_ZERO, M, N, K, A_ZERO_ROW, B_ZERO_COLUMN, BATCH, A_BATCH, B_BATCH, A_FLIP, B_FLIP = range(15)
WORDS = 15
"""A's zero point lies A_ZERO_ROW apart for each row (0: one for all), B's B_ZERO_COLUMN; address 0 stands for zero.
FLIP is 128 for int8, 0 for uint8: with the top bit flipped int8 is uint8."""


SPEC = KernelSpec.of("matmul_integer")
"""One product serves signed and unsigned bytes."""


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """The product for the dtypes; None when one of them is not an 8-bit integer."""
    a, b = (None if d is None else d.name for d in (*dtypes, None, None)[:2])
    if op not in OPERATORS or a not in DTYPES or b not in DTYPES:
        return None
    return (SPEC,)


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch for each pair of matrices that numpy's matmul would multiply; ValueError where shapes do not fit."""
    a, b, a_zero, b_zero = (*inputs, None, None)[:4]
    if a is None or b is None:
        raise ValueError("an integer product needs two operands")
    (c,) = outputs
    of_rank("A", a, 1)
    of_rank("B", b, 1)
    of_dtype("the output", c, "int32")
    of_dtype("the zero point of A", a_zero, a.dtype)
    of_dtype("the zero point of B", b_zero, b.dtype)
    a_shape = a.shape if len(a.shape) > 1 else (1, *a.shape)
    b_shape = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    m, k, n = a_shape[-2], a_shape[-1], b_shape[-1]
    if b_shape[-2] != k:
        raise ValueError(f"cannot multiply {a.shape} by {b.shape}: {k} columns meet {b_shape[-2]} rows")
    batch = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    kept = (*((m,) if len(a.shape) > 1 else ()), *((n,) if len(b.shape) > 1 else ()))
    of_shape("the output", c, (*batch, *kept))
    if c.size == 0:
        return []
    if math.prod(b_shape[:-2]) == 1 and (a_zero is None or a_zero.size == 1):
        # one B for all: the batch is a taller A
        m, batch = m * math.prod(batch), ()
        a_shape, b_shape = (m, k), (k, n)
    a_row, b_column = _zero(a_zero, m, "A"), _zero(b_zero, n, "B")
    places_a = np.broadcast_to(np.arange(math.prod(a_shape[:-2])).reshape(a_shape[:-2]), batch).ravel()
    places_b = np.broadcast_to(np.arange(math.prod(b_shape[:-2])).reshape(b_shape[:-2]), batch).ravel()
    launches: list[Launch] = []
    for first, count, a_step, b_step in _even(places_a, places_b):
        fields: list[Field] = [
            a.ref.moved(int(places_a[first]) * m * k),
            b.ref.moved(int(places_b[first]) * k * n),
            c.ref.moved(first * m * n * 4),
            0 if a_zero is None else a_zero.ref,
            0 if b_zero is None else b_zero.ref,
            m, n, k, a_row, b_column, count, a_step * m * k, b_step * k * n,
            *(128 if d == np.int8 else 0 for d in (a.dtype, b.dtype)),
        ]  # fmt: skip
        launches.append(Launch(SPEC, tuple(fields), count * m * n * max(k, 1)))
    return launches


def _zero(zero: Operand | None, count: int, name: str) -> int:
    """The stride of a zero point."""
    if zero is None or zero.size == 1:
        return 0
    if zero.size != count:
        raise ValueError(f"the zero point of {name} has {zero.size} elements where {count} or one are expected")
    return 1


def _even(a: np.ndarray, b: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Runs of the batch along which both operands move by even steps: first, count, and the two steps."""
    runs: list[tuple[int, int, int, int]] = []
    start = 0
    while start < len(a):
        end = start + 1
        step_a = int(a[end] - a[start]) if end < len(a) else 0
        step_b = int(b[end] - b[start]) if end < len(a) else 0
        while end < len(a) and a[end] - a[end - 1] == step_a and b[end] - b[end - 1] == step_b:
            end += 1
        runs.append((start, end - start, step_a, step_b))
        if len(runs) > MOST_CALLS:
            raise ValueError(f"a batch of {len(a)} products needs more than {MOST_CALLS} calls")
        start = end
    return runs
