"""Tiled matrix product on the GPU: C = A · B in float32.

A block of 16 x 16 threads computes a tile of 64 x 64 results, 4 x 4 a thread, kept in registers; slices of A and B pass
through shared memory, so that each element is read once a tile.  The accumulators are float32.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import float32, types

from graphopt_kernels.cuda.target import cuda
from graphopt_kernels.errors import KernelError

THREADS = 16
"""Threads of a block along each axis."""
EACH = 4
"""Results of a thread along each axis."""
TILE = THREADS * EACH
DEPTH = 16
"""Inner elements in shared memory at a time."""
SIGNATURE = (types.float32[:, ::1],) * 3


def matmul_kernel(a: Any, b: Any, c: Any) -> None:
    """What Numba compiles: `c[m, n] = a[m, k] · b[k, n]`, launched with `grid_of(m, n)` blocks of THREADS x THREADS."""
    a_slice = cuda.shared.array((DEPTH, TILE), float32)
    b_slice = cuda.shared.array((DEPTH, TILE), float32)
    total = cuda.local.array((EACH, EACH), float32)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    first_row, first_column = cuda.blockIdx.y * TILE, cuda.blockIdx.x * TILE
    thread = row * THREADS + column
    for i in range(EACH):
        for j in range(EACH):
            total[i, j] = 0.0
    for start in range(0, a.shape[1], DEPTH):
        # 256 threads bring in two slices of 16 x 64; what lies outside the matrices is 0
        for piece in range(DEPTH * TILE // (THREADS * THREADS)):
            number = thread + piece * THREADS * THREADS
            i, k = number // DEPTH, number % DEPTH
            a_slice[k, i] = 0.0
            if first_row + i < a.shape[0] and start + k < a.shape[1]:
                a_slice[k, i] = a[first_row + i, start + k]
            k, j = number // TILE, number % TILE
            b_slice[k, j] = 0.0
            if start + k < b.shape[0] and first_column + j < b.shape[1]:
                b_slice[k, j] = b[start + k, first_column + j]
        cuda.syncthreads()
        for k in range(DEPTH):
            for i in range(EACH):
                left = a_slice[k, row + i * THREADS]
                for j in range(EACH):
                    total[i, j] += left * b_slice[k, column + j * THREADS]
        cuda.syncthreads()
    for i in range(EACH):
        for j in range(EACH):
            m, n = first_row + row + i * THREADS, first_column + column + j * THREADS
            if m < c.shape[0] and n < c.shape[1]:
                c[m, n] = total[i, j]


def grid_of(rows: int, columns: int) -> tuple[int, int]:
    """The blocks that cover a result of that shape."""
    return -(-columns // TILE), -(-rows // TILE)


def matmul(a: Any, b: Any, c: Any, stream: int = 0) -> None:
    """C = A · B on the GPU, on a stream; numpy or device arrays, float32, C-contiguous.  The caller allocates C.

    KernelError where the shapes or dtypes do not fit.
    """
    for name, array in (("a", a), ("b", b), ("c", c)):
        if array.dtype != np.float32 or array.ndim != 2:
            raise KernelError(f"{name} is {array.dtype} of rank {array.ndim}; expected a float32 matrix")
    (rows, inner), columns = a.shape, b.shape[1]
    if b.shape[0] != inner or c.shape != (rows, columns):
        raise KernelError(f"shapes {a.shape} · {b.shape} → {c.shape} do not fit")
    if rows and columns:
        _compiled()[grid_of(rows, columns), (THREADS, THREADS), stream](a, b, c)


@cache
def _compiled() -> Any:
    return cuda.jit(matmul_kernel)
