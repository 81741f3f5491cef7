"""Softmax and LogSoftmax."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.fit import of_dtype, of_shape
from graphopt_kernels.bind.moves import axis_of, required

OPERATORS = frozenset(("Softmax", "LogSoftmax"))


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """Both layouts; None for dtypes other than float32 and float64."""
    dtype = dtypes[0].name if dtypes and dtypes[0] is not None else ""
    if dtype not in ("float32", "float64"):
        return None
    return tuple(_spec(op, dtype, layout) for layout in ("rows", "columns"))


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch; before opset 13 the axis splits the input into a matrix of rows.  The output may be the input."""
    source, target = required(inputs, 0), outputs[0]
    of_shape("the output", target, source.shape)
    of_dtype("the output", target, source.dtype)
    if source.size == 0:
        return []
    version, rank = int(attributes["version"]), len(source.shape)
    axis = axis_of(int(attributes.get("axis", 1 if version < 13 else -1)), rank) if rank else 0
    length = math.prod(source.shape[axis:]) if version < 13 else math.prod(source.shape[axis : axis + 1])
    outer = math.prod(source.shape[:axis])
    inner = source.size // (outer * length)
    spec = _spec(str(attributes["op"]), source.dtype.name, "rows" if inner == 1 else "columns")
    return [Launch(spec, (outer, length, inner, source.ref, target.ref), 20 * source.size)]


def _spec(op: str, dtype: str, layout: str) -> KernelSpec:
    return KernelSpec.of("softmax", dtype=dtype, log=int(op == "LogSoftmax"), layout=layout)
