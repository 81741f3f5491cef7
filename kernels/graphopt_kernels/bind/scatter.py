"""ScatterElements and ScatterND: a copy of the data, then the updates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import contiguous_strides
from graphopt_kernels.bind.copy import copy_spec, launch_of
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape
from graphopt_kernels.bind.gather import within
from graphopt_kernels.bind.moves import Move, axis_of, required
from graphopt_kernels.bind.remap import text_of
from graphopt_kernels.faults import CELL

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
    """Two launches; ValueError where shapes do not fit, or where something is written into an empty array.

    Where nothing is written, the indices have to lie inside their axes all the same.
    """
    op, target = str(attributes["op"]), outputs[0]
    data, indices, updates = (required(inputs, slot) for slot in range(3))
    for name, operand in (("the updates", updates), ("the output", target)):
        of_dtype(name, operand, data.dtype)
    of_shape("the output", target, data.shape)
    size, strides = data.dtype.itemsize, contiguous_strides(data.shape)
    launches = [launch_of(Move(data.ref, target.ref, (data.size,), (1,), (1,)), size)] if data.size else []
    axes = _axes(op, data, indices, updates, attributes)
    if indices.size == 0:
        return launches
    if 0 in [data.shape[axis] for axis in axes]:
        raise ValueError(f"{op} writes into an empty array of shape {list(data.shape)}")
    fields: list[Field] = [target.ref, indices.ref, updates.ref, CELL, axes[0] if axes else 0]
    if op == "ScatterND":
        fields += [math.prod(indices.shape[:-1]), math.prod(data.shape[len(axes) :]), len(axes)]
        for axis in axes:
            fields += [data.shape[axis], strides[axis]]
    else:
        (axis,) = axes
        fields += [indices.size, data.shape[axis], strides[axis], len(data.shape)]
        for d in reversed(range(len(data.shape))):
            fields += [indices.shape[d], 0 if d == axis else strides[d]]
    return [*launches, Launch(_spec(op, data.dtype, indices.dtype, attributes), tuple(fields), 1)]


def _axes(op: str, data: Operand, indices: Operand, updates: Operand, attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """The axes that indices run over; ValueError where the three operands do not fit each other."""
    if op != "ScatterND":
        axis = axis_of(int(attributes.get("axis", 0)), len(data.shape))
        within(indices, data, axis)
        of_shape("the updates", updates, indices.shape)
        return (axis,)
    of_rank("the indices", indices, 1)
    parts = indices.shape[-1]
    if parts > len(data.shape):
        raise ValueError(f"tuples of {parts} indices do not pick from {list(data.shape)}")
    of_shape("the updates", updates, (*indices.shape[:-1], *data.shape[parts:]))
    return tuple(range(parts))


def _spec(op: str, data: np.dtype, index: np.dtype, attributes: Mapping[str, Any]) -> KernelSpec:
    mode = "slices" if op == "ScatterND" else "elements"
    reduction = text_of(attributes, "reduction", "none")
    return KernelSpec.of("scatter", dtype=data.name, index=index.name, mode=mode, reduction=reduction, revision=2)
