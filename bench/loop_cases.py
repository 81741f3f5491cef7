"""Cases for `bench.kernels` of everything that is neither a matrix product nor a convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.cases import Case


def _of(
    op: str,
    *shapes: tuple[int, ...],
    output: tuple[int, ...] = (),
    cost: int = 1,
    attributes: Mapping[str, Any] | None = None,
    values: Mapping[int, np.ndarray] | None = None,
    numpy: Any = None,
) -> Case:
    """One operator; `cost` counts operations for each element of the result."""
    output = output or shapes[0]
    name = " ".join([op, *("×".join(map(str, shape)) for shape in shapes)])
    fixed = dict(values or {})
    return Case(name, op, shapes, output, cost * math.prod(output), dict(attributes or {}), numpy=numpy, values=fixed)


LOOPS: tuple[Case, ...] = (
    _of("Relu", (64, 1024)),
    _of("Sigmoid", (64, 1024), cost=24),
    _of("Tanh", (64, 1024), cost=24, numpy=np.tanh),
    _of("Erf", (64, 1024), cost=32),
    _of("HardSwish", (1, 64, 56, 56), cost=4),
    _of("Mul", (1, 64, 56, 56), (1, 64, 1, 1), numpy=np.multiply),
    _of("Add", (128, 768), (768,), numpy=np.add),
    _of("Div", (64, 1024), (64, 1), numpy=np.divide),
    _of("Softmax", (12, 128, 128), cost=24, attributes={"axis": -1}),
    _of("LayerNormalization", (128, 384), (384,), (384,), cost=8, attributes={"axis": -1}),
    _of("ReduceMean", (64, 1024), output=(64, 1), attributes={"axes": (1,)}, cost=1024),
    _of("GlobalAveragePool", (1, 512, 7, 7), output=(1, 512, 1, 1), cost=49),
    _of("GlobalAveragePool", (1, 64, 56, 56), output=(1, 64, 1, 1), cost=3136),
    _of("Transpose", (512, 768), output=(768, 512), attributes={"perm": (1, 0)}, cost=0),
    _of("Transpose", (1, 128, 12, 32), output=(1, 12, 128, 32), attributes={"perm": (0, 2, 1, 3)}, cost=0),
    _of("Concat", (1, 64, 56, 56), (1, 64, 56, 56), output=(1, 128, 56, 56), attributes={"axis": 1}, cost=0),
    _of(
        "MaxPool",
        (1, 64, 112, 112),
        output=(1, 64, 56, 56),
        cost=9,
        attributes={"kernel_shape": (3, 3), "strides": (2, 2), "pads": (1, 1, 1, 1)},
    ),
    _of(
        "AveragePool",
        (1, 64, 56, 56),
        output=(1, 64, 28, 28),
        cost=4,
        attributes={"kernel_shape": (2, 2), "strides": (2, 2)},
    ),
)
"""In the order of the families."""
