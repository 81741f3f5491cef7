"""Gather, GatherElements and GatherND for elements of 1, 2, 4 or 8 bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import contiguous_strides
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape
from graphopt_kernels.bind.moves import axis_of, required
from graphopt_kernels.faults import CELL

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
    """One launch; ValueError where shapes do not fit, or where something is picked from an axis of size 0.

    An empty result is launched too: its indices have to lie inside their axes all the same.
    """
    op, data, indices, target = str(attributes["op"]), required(inputs, 0), required(inputs, 1), outputs[0]
    picked = {"Gather": _gather, "GatherElements": _elements, "GatherND": _slices}[op](data, indices, attributes)
    of_dtype("the output", target, data.dtype)
    of_shape("the output", target, picked.shape)
    if indices.size == 0 or (target.size == 0 and op == "GatherElements"):
        return []
    sizes = [data.shape[axis] for axis in picked.axes]
    if 0 in sizes:
        raise ValueError(f"{op} picks from an empty array of shape {list(data.shape)}")
    spec, strides = _spec(op, data.dtype, indices.dtype), contiguous_strides(data.shape)
    fields: list[Field] = [data.ref, indices.ref, target.ref, CELL, picked.axes[0] if picked.axes else 0]
    if op == "GatherElements":
        (axis,) = picked.axes
        fields += [target.size, data.shape[axis], strides[axis], len(data.shape)]
        for d in reversed(range(len(data.shape))):
            fields += [target.shape[d], 0 if d == axis else strides[d]]
        return [Launch(spec, tuple(fields), 4 * target.size)]
    rows, width = (picked.rows, picked.width) if target.size else (picked.repeats, 0)
    fields += [rows, width, len(picked.axes), picked.per_batch, picked.batch_stride, picked.repeats]
    for axis in picked.axes:
        fields += [data.shape[axis], strides[axis]]
    return [Launch(spec, tuple(fields), rows * (4 + width))]


@dataclass(frozen=True, slots=True)
class _Picked:
    """What is picked: the result's shape, the axes that indices run over, and rows of `width` elements.

    Rows belong to batches of `per_batch`, `batch_stride` elements of the data apart; indices repeat after `repeats`.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    rows: int = 0
    width: int = 0
    per_batch: int = 1
    batch_stride: int = 0
    repeats: int = 1


def _gather(data: Operand, indices: Operand, attributes: Mapping[str, Any]) -> _Picked:
    of_rank("the data", data, 1)
    axis = axis_of(int(attributes.get("axis", 0)), len(data.shape))
    before, after = data.shape[:axis], data.shape[axis + 1 :]
    rows, width, stride = math.prod(before) * indices.size, math.prod(after), math.prod(data.shape[axis:])
    return _Picked((*before, *indices.shape, *after), (axis,), rows, width, indices.size, stride, indices.size)


def _elements(data: Operand, indices: Operand, attributes: Mapping[str, Any]) -> _Picked:
    axis = axis_of(int(attributes.get("axis", 0)), len(data.shape))
    within(indices, data, axis)
    return _Picked(indices.shape, (axis,))


def _slices(data: Operand, indices: Operand, attributes: Mapping[str, Any]) -> _Picked:
    of_rank("the indices", indices, 1)
    batches, parts = int(attributes.get("batch_dims", 0)), indices.shape[-1]
    if not 0 <= batches < len(indices.shape) or batches + parts > len(data.shape):
        raise ValueError(
            f"tuples of {parts} indices after {batches} batch dimensions do not pick from {list(data.shape)}"
        )
    if indices.shape[:batches] != data.shape[:batches]:
        raise ValueError(
            f"the indices have the batch {list(indices.shape[:batches])} where the data have"
            f" {list(data.shape[:batches])}"
        )
    rest, rows = data.shape[batches + parts :], math.prod(indices.shape[:-1])
    return _Picked(
        (*indices.shape[:-1], *rest),
        tuple(range(batches, batches + parts)),
        rows,
        math.prod(rest),
        math.prod(indices.shape[batches:-1]),
        math.prod(data.shape[batches:]),
        rows,
    )


def within(indices: Operand, data: Operand, axis: int) -> None:
    """Return when the indices have the data's rank and are nowhere longer, but along the axis; ValueError otherwise."""
    of_rank("the data", data, 1)
    of_rank("the indices", indices, len(data.shape), len(data.shape))
    for d, (size, limit) in enumerate(zip(indices.shape, data.shape, strict=True)):
        if d != axis and size > limit:
            raise ValueError(f"the indices have {size} elements along axis {d} where the data have {limit}")


def _spec(op: str, data: np.dtype, index: np.dtype) -> KernelSpec:
    mode = "elements" if op == "GatherElements" else "slices"
    return KernelSpec.of("gather", size=data.itemsize, index=index.name, mode=mode, revision=2)
