"""Gather, GatherElements and GatherND for elements of 1, 2, 4 or 8 bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import contiguous_strides
from graphopt_kernels.bind.moves import axis_of, required

OPERATORS = frozenset(("Gather", "GatherElements", "GatherND"))


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """One spec; None for other element sizes or index dtypes."""
    data, index = (dtypes[0], dtypes[1]) if len(dtypes) == 2 else (None, None)
    if data is None or index is None or data.hasobject or data.itemsize not in (1, 2, 4, 8):
        return None
    return (_spec(op, data, index),) if index.name in ("int32", "int64") else None


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch; ValueError where something is picked from an axis of size 0."""
    op, data, indices, target = str(attributes["op"]), required(inputs, 0), required(inputs, 1), outputs[0]
    if target.size == 0:
        return []
    if data.size == 0:
        raise ValueError(f"{op} picks from an empty array of shape {list(data.shape)}")
    fields: list[Field] = [data.ref, indices.ref, target.ref]
    strides = contiguous_strides(data.shape)
    if op == "GatherElements":
        axis = axis_of(int(attributes.get("axis", 0)), len(data.shape))
        fields += [target.size, data.shape[axis], strides[axis], len(data.shape)]
        for d in reversed(range(len(data.shape))):
            fields += [target.shape[d], 0 if d == axis else strides[d]]
        return [Launch(_spec(op, data.dtype, indices.dtype).symbol, tuple(fields), 4 * target.size)]
    if op == "Gather":
        axis = axis_of(int(attributes.get("axis", 0)), len(data.shape))
        width, batches, parts, per_batch = math.prod(data.shape[axis + 1 :]), 0, 1, indices.size
        rows, repeats, axes = math.prod(data.shape[:axis]) * indices.size, indices.size, [axis]
        batch_stride = strides[axis] * data.shape[axis]
    else:
        batches, parts = int(attributes.get("batch_dims", 0)), indices.shape[-1]
        width = math.prod(data.shape[batches + parts :])
        rows = repeats = math.prod(indices.shape[:-1])
        per_batch = math.prod(indices.shape[batches:-1])
        axes = list(range(batches, batches + parts))
        batch_stride = math.prod(data.shape[batches:])
    fields += [rows, width, parts, per_batch, batch_stride, repeats]
    for axis in axes:
        fields += [data.shape[axis], strides[axis]]
    return [Launch(_spec(op, data.dtype, indices.dtype).symbol, tuple(fields), rows * (4 + width))]


def _spec(op: str, data: np.dtype, index: np.dtype) -> KernelSpec:
    mode = "elements" if op == "GatherElements" else "slices"
    return KernelSpec.of("gather", size=data.itemsize, index=index.name, mode=mode)
