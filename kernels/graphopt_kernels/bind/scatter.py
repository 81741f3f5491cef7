"""ScatterElements and ScatterND: a copy of the data, then the updates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import contiguous_strides
from graphopt_kernels.bind.copy import copy_spec, launch_of
from graphopt_kernels.bind.moves import Move, axis_of, required
from graphopt_kernels.bind.remap import text_of

OPERATORS = frozenset(("ScatterElements", "ScatterND", "Scatter"))
_DTYPES = frozenset(("float32", "float64", "int32", "int64", "int8", "uint8"))
_REDUCTIONS = ("none", "add", "mul", "max", "min")


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """The copy and the writes; None for other dtypes."""
    data, index = (dtypes[0], dtypes[1]) if len(dtypes) > 1 else (None, None)
    if data is None or index is None or data.name not in _DTYPES or index.name not in ("int32", "int64"):
        return None
    if text_of(attributes, "reduction", "none") not in _REDUCTIONS:
        return None
    return (copy_spec(data.itemsize), _spec(op, data, index, attributes))


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """Two launches; [] for an empty result."""
    op, target = str(attributes["op"]), outputs[0]
    data, indices, updates = (required(inputs, slot) for slot in range(3))
    if target.size == 0:
        return []
    size, strides = data.dtype.itemsize, contiguous_strides(data.shape)
    launches = [launch_of(Move(data.ref, target.ref, (data.size,), (1,), (1,)), size)]
    if updates.size == 0:
        return launches
    fields: list[Field] = [target.ref, indices.ref, updates.ref]
    if op == "ScatterND":
        parts = indices.shape[-1]
        fields += [math.prod(indices.shape[:-1]), math.prod(data.shape[parts:]), parts]
        for axis in range(parts):
            fields += [data.shape[axis], strides[axis]]
    else:
        axis = axis_of(int(attributes.get("axis", 0)), len(data.shape))
        fields += [indices.size, data.shape[axis], strides[axis], len(data.shape)]
        for d in reversed(range(len(data.shape))):
            fields += [indices.shape[d], 0 if d == axis else strides[d]]
    symbol = _spec(op, data.dtype, indices.dtype, attributes).symbol
    return [*launches, Launch(symbol, tuple(fields), 1)]


def _spec(op: str, data: np.dtype, index: np.dtype, attributes: Mapping[str, Any]) -> KernelSpec:
    mode = "slices" if op == "ScatterND" else "elements"
    reduction = text_of(attributes, "reduction", "none")
    return KernelSpec.of("scatter", dtype=data.name, index=index.name, mode=mode, reduction=reduction)
