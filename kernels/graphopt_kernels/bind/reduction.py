"""Reductions: ONNX's Reduce operators and global pooling, over any set of axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import contiguous_strides, joined
from graphopt_kernels.bind.fit import of_dtype
from graphopt_kernels.bind.moves import axis_of, elements, required

_NUMBERS = frozenset(
    ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
)
_EXTREMES = ("ReduceMax", "ReduceMin")
_ALIASES = {"GlobalAveragePool": "ReduceMean", "GlobalMaxPool": "ReduceMax"}
_PLAIN = (
    "ReduceSum",
    "ReduceMean",
    "ReduceL1",
    "ReduceL2",
    "ReduceSumSquare",
    "ReduceLogSum",
    "ReduceProd",
    *_EXTREMES,
)
OPERATORS = frozenset((*_PLAIN, *_ALIASES))


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """Both layouts, as the shapes decide; None for dtypes without a kernel."""
    dtype = dtypes[0].name if dtypes and dtypes[0] is not None else ""
    op = _ALIASES.get(op, op)
    if dtype not in _NUMBERS and not (dtype == "bool" and op in _EXTREMES):
        return None
    return tuple(reduction_spec(op, dtype, layout) for layout in ("rows", "columns"))


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch; with no elements to reduce, the neutral value (0, 1, ±inf; NaN for a mean)."""
    source, target = required(inputs, 0), outputs[0]
    if target.size == 0:
        return []
    op = str(attributes["op"])
    return [launch(_ALIASES.get(op, op), source, target, reduced_axes(op, inputs, attributes))]


def reduced_axes(op: str, inputs: Sequence[Operand | None], attributes: Mapping[str, Any]) -> list[int]:
    """The axes that are reduced, counted from the front."""
    rank = len(required(inputs, 0).shape)
    if op in _ALIASES:
        return list(range(2, rank))
    axes = attributes.get("axes")
    if axes is None:
        axes = elements(inputs, 1)
    if not axes:
        return [] if attributes.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted({axis_of(int(axis), rank) for axis in axes})


def launch(op: str, source: Operand, target: Operand, axes: Sequence[int]) -> Launch:
    """The launch that reduces `source` over `axes`; the target's axes may be kept or dropped."""
    shape = source.shape
    reads = contiguous_strides(shape)
    writes = contiguous_strides([1 if axis in axes else size for axis, size in enumerate(shape)])
    writes = tuple(0 if axis in axes else stride for axis, stride in enumerate(writes))
    count = math.prod(shape[axis] for axis in axes)
    if target.size != math.prod(size for axis, size in enumerate(shape) if axis not in axes):
        raise ValueError(f"reducing axes {list(axes)} of {list(shape)} does not give {list(target.shape)}")
    of_dtype("the output", target, source.dtype)
    if count == 0:
        sizes, steps, marks = (target.size,), (0,), (1,)
    else:
        nest = joined(shape, [reads, writes])
        sizes, (steps, marks) = nest.sizes, nest.strides
    kept = [(n, s) for n, s, w in zip(sizes, steps, marks, strict=True) if w][::-1]
    reduced = [(n, s) for n, s, w in zip(sizes, steps, marks, strict=True) if not w][::-1]
    if sizes and marks[-1] and reduced:
        columns, (length, step), layout = kept.pop(0)[0], reduced.pop(0), "columns"
    else:
        columns, step, layout = 1, 0, "rows"
        length = reduced.pop(0)[0] if sizes and not marks[-1] else int(count > 0)
    fields = [len(kept), len(reduced), math.prod(n for n, _ in kept), math.prod(n for n, _ in reduced), length, step]
    flat = [number for pair in (*kept, *reduced) for number in pair]
    spec = reduction_spec(op, source.dtype.name, layout)
    return Launch(spec, (*fields, columns, source.ref, target.ref, count, *flat), max(source.size, target.size))


def reduction_spec(op: str, dtype: str, layout: str) -> KernelSpec:
    """The machine code of one layout."""
    return KernelSpec.of("reduction", op=op, dtype=dtype, layout=layout)
