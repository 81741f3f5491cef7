"""Operators that read and write elements by index.  Negative indices count from the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.operands import axis_of, scalar
from graphopt.ops.table import Call, meaning


def _indices(indices: np.ndarray) -> np.ndarray:
    if symbolic.is_symbolic(indices):
        return np.array(symbolic.ints(indices), np.int64).reshape(indices.shape)
    return indices.astype(np.int64)


@meaning("Gather")
def _gather(call: Call) -> tuple[np.ndarray]:
    x, indices = call.inputs
    axis = axis_of(int(call.attributes.get("axis", 0)), x.ndim)
    return (np.asarray(np.take(x, _indices(np.asarray(indices)), axis=axis)),)


@meaning("ArrayFeatureExtractor", domain="ai.onnx.ml")
def _array_feature_extractor(call: Call) -> tuple[np.ndarray]:
    x, indices = call.inputs
    picked = np.take(x, _indices(indices).reshape(-1), axis=-1)
    return (picked.reshape(1, -1) if x.ndim == 1 else picked,)


@meaning("GatherElements")
def _gather_elements(call: Call) -> tuple[np.ndarray]:
    x, indices = call.inputs
    axis = axis_of(int(call.attributes.get("axis", 0)), x.ndim)
    return (x[_positions(x, _indices(indices), axis)],)


def _positions(x: np.ndarray, indices: np.ndarray, axis: int) -> tuple[Any, ...]:
    """Where each element lies: its own position, but for the axis, which the index names."""
    size = x.shape[axis]
    if np.any((indices < -size) | (indices >= size)):
        raise ModelError(f"an index is out of range for an axis of {size}")
    grid: list[Any] = list(np.indices(indices.shape, sparse=True))
    grid[axis] = indices
    return tuple(grid)


@meaning("GatherND")
def _gather_nd(call: Call) -> tuple[np.ndarray]:
    x, indices = call.inputs
    indices, batch = _indices(indices), int(call.attributes.get("batch_dims", 0))
    lead = tuple(i.reshape(i.shape + (1,) * (indices.ndim - 1 - batch)) for i in np.indices(indices.shape[:batch]))
    return (np.asarray(x[(*lead, *np.moveaxis(indices, -1, 0))]),)


_REDUCTIONS = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}


def _write(x: np.ndarray, where: tuple[Any, ...], updates: np.ndarray, reduction: str) -> np.ndarray:
    out = x.copy()
    if reduction == "none":
        out[where] = updates
    else:
        _REDUCTIONS[reduction].at(out, where, updates)  # one after the other where a position comes twice
    return out


@meaning("ScatterElements", "Scatter")
def _scatter_elements(call: Call) -> tuple[np.ndarray]:
    x, indices, updates = call.inputs
    where = _positions(x, _indices(indices), axis_of(int(call.attributes.get("axis", 0)), x.ndim))
    return (_write(x, where, updates, str(call.attributes.get("reduction", "none"))),)


@meaning("ScatterND")
def _scatter_nd(call: Call) -> tuple[np.ndarray]:
    x, indices, updates = call.inputs
    where = tuple(np.moveaxis(_indices(indices), -1, 0))
    return (_write(x, where, updates, str(call.attributes.get("reduction", "none"))),)


@meaning("TensorScatter")
def _tensor_scatter(call: Call) -> tuple[np.ndarray]:
    cache, update, starts = call.inputs[0], call.inputs[1], call.input(2)
    axis = axis_of(int(call.attributes.get("axis", -2)), cache.ndim)
    out = cache.copy()
    for batch in range(cache.shape[0]):
        places = np.arange(update.shape[axis]) + (0 if starts is None else int(starts[batch]))
        if call.attributes.get("mode", "linear") == "circular":
            places %= cache.shape[axis]
        np.moveaxis(out[batch], axis - 1, 0)[places] = np.moveaxis(update[batch], axis - 1, 0)
    return (out,)


@meaning("OneHot")
def _one_hot(call: Call) -> tuple[np.ndarray]:
    indices, depth, values = call.inputs
    depth = int(scalar(depth))
    rank = indices.ndim + 1
    axis = axis_of(int(call.attributes.get("axis", -1)), rank)
    places = np.asarray(indices).astype(np.int64)
    places = np.expand_dims(np.where(places < 0, places + depth, places), axis)
    classes = np.arange(depth).reshape([-1 if i == axis else 1 for i in range(rank)])
    return (np.where(places == classes, values[1], values[0]).astype(values.dtype),)
