"""Operators that look at shapes or change them: elements stay as they are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ir.dtype import DType
from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.operands import axes_of, axis_of, operand, scalar
from graphopt.ops.meaning.precision import is_float, rounded, widened
from graphopt.ops.table import Call, meaning


@meaning("Shape")
def _shape(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    start, end = call.attributes.get("start", 0), call.attributes.get("end")
    return (np.array(x.shape[slice(int(start), None if end is None else int(end))], np.int64),)


@meaning("Size")
def _size(call: Call) -> tuple[np.ndarray]:
    return (np.array(call.inputs[0].size, np.int64),)


@meaning("Reshape")
def _reshape(call: Call) -> tuple[np.ndarray]:
    x, wanted = call.inputs[0], symbolic.ints(call.inputs[1])
    return (x.reshape(reshaped(x.shape, wanted, bool(call.attributes.get("allowzero", 0)))),)


def reshaped(shape: tuple[int, ...], wanted: list[int], allow_zero: bool = False) -> tuple[int, ...]:
    """The shape Reshape gives: 0 copies a dimension unless `allow_zero`, one −1 is inferred."""
    copied = [] if allow_zero else [i for i, dim in enumerate(wanted) if dim == 0]
    if any(i >= len(shape) for i in copied):
        raise ModelError(f"shape {wanted} copies a dimension that {list(shape)} does not have")
    dims = [shape[i] if i in copied else dim for i, dim in enumerate(wanted)]
    if wanted.count(-1) > 1:
        raise ModelError(f"shape {wanted} has more than one -1")
    if -1 in dims:
        # a copied dimension cancels, so that [0, -1] of an empty batch infers the rest of the shape
        given = math.prod(dim for i, dim in enumerate(dims) if i not in copied and dim != -1)
        there = math.prod(dim for i, dim in enumerate(shape) if i not in copied)
        dims[dims.index(-1)] = there // given if given else 0
    if math.prod(dims) != math.prod(shape):
        raise ModelError(f"{list(shape)} cannot be seen as {wanted}")
    return tuple(dims)


@meaning("Flatten")
def _flatten(call: Call) -> tuple[np.ndarray]:
    x, axis = call.inputs[0], int(call.attributes.get("axis", 1))
    axis += x.ndim if axis < 0 else 0
    return (x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])),)


@meaning("Squeeze")
def _squeeze(call: Call) -> tuple[np.ndarray]:
    x, axes = call.inputs[0], operand(call, "axes", 1)
    gone = [i for i, dim in enumerate(x.shape) if dim == 1] if axes is None else axes_of(axes, x.ndim)
    if any(x.shape[i] != 1 for i in gone):
        raise ModelError(f"axes {list(gone)} are not all of size 1")
    return (x.reshape([dim for i, dim in enumerate(x.shape) if i not in gone]),)


@meaning("Unsqueeze")
def _unsqueeze(call: Call) -> tuple[np.ndarray]:
    x, axes = call.inputs[0], operand(call, "axes", 1) or []
    rank = x.ndim + len(axes)
    new, rest = axes_of(axes, rank), iter(x.shape)
    return (x.reshape([1 if i in new else next(rest) for i in range(rank)]),)


@meaning("Transpose")
def _transpose(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    order = call.attributes.get("perm")
    return (np.transpose(x, None if order is None else axes_of(list(order), x.ndim)),)


@meaning("Expand")
def _expand(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (np.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(symbolic.ints(call.inputs[1])))).copy(),)


@meaning("ConstantOfShape")
def _constant_of_shape(call: Call) -> tuple[np.ndarray]:
    value = np.asarray(call.attributes.get("value", np.zeros(1, np.float32))).reshape(-1)[0]
    shape = symbolic.ints(call.inputs[0])
    return (np.full(shape, value, np.asarray(value).dtype),)


@meaning("Constant")
def _constant(call: Call) -> tuple[Any]:
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32), ("value_int", np.int64)):
        if name in call.attributes:
            return (np.array(call.attributes[name], dtype),)
    if "value_ints" in call.attributes:
        return (np.array(call.attributes["value_ints"], np.int64),)
    if "value_string" in call.attributes or "value_strings" in call.attributes:
        return (np.array(call.attributes.get("value_string", call.attributes.get("value_strings")), object),)
    return (call.attributes["value"],)


@meaning("Range")
def _range(call: Call) -> tuple[np.ndarray]:
    if symbolic.is_symbolic(*call.inputs):
        return (np.arange(*[symbolic.ints(value)[0] for value in call.inputs], dtype=np.int64),)
    first = np.asarray(call.inputs[0])
    if not is_float(first.dtype):
        start, limit, delta = (int(scalar(value)) for value in call.inputs)
        return (np.arange(start, limit, delta).astype(first.dtype),)
    start, limit, delta = (widened(np.asarray(value)).reshape(-1)[0] for value in call.inputs)
    count = max(int(np.ceil((limit - start) / delta)), 0)
    return (rounded(start + np.arange(count) * delta, first.dtype),)


@meaning("EyeLike")
def _eye_like(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    dtype = DType(int(call.attributes["dtype"])).numpy if "dtype" in call.attributes else x.dtype
    return (np.eye(x.shape[0], x.shape[1], k=int(call.attributes.get("k", 0))).astype(dtype),)


@meaning("DepthToSpace")
def _depth_to_space(call: Call) -> tuple[np.ndarray]:
    x, b = call.inputs[0], int(call.attributes["blocksize"])
    n, c, h, w = x.shape
    if call.attributes.get("mode", "DCR") == "DCR":
        blocks = x.reshape(n, b, b, c // (b * b), h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = x.reshape(n, c // (b * b), b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
    return (blocks.reshape(n, c // (b * b), h * b, w * b),)


@meaning("SpaceToDepth")
def _space_to_depth(call: Call) -> tuple[np.ndarray]:
    x, b = call.inputs[0], int(call.attributes["blocksize"])
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // b, b, w // b, b)
    order = (0, 3, 5, 1, 2, 4) if call.attributes.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return (blocks.transpose(*order).reshape(n, c * b * b, h // b, w // b),)


@meaning("Dropout")
def _dropout(call: Call) -> tuple[np.ndarray, ...]:
    x, ratio, training = call.inputs[0], call.input(1), call.input(2)
    rate = 0.5 if ratio is None else float(scalar(ratio))
    kept = np.ones(x.shape, np.bool_)
    if training is not None and bool(scalar(training)) and rate > 0:
        seed = call.attributes.get("seed")
        kept = np.random.RandomState(None if seed is None else int(seed)).uniform(0, 1, x.shape) >= rate
        x = rounded(np.where(kept, widened(x) / (1.0 - rate) if rate < 1 else 0.0, 0.0), x.dtype)
    return (x, kept if call.version >= 10 else kept.astype(x.dtype))


@meaning("ReverseSequence")
def _reverse_sequence(call: Call) -> tuple[np.ndarray]:
    x, lengths = call.inputs
    time, batch = int(call.attributes.get("time_axis", 0)), int(call.attributes.get("batch_axis", 1))
    moved = np.moveaxis(x, (axis_of(batch, x.ndim), axis_of(time, x.ndim)), (0, 1)).copy()
    for row, length in zip(moved, symbolic.ints(lengths), strict=True):
        row[:length] = row[:length][::-1].copy()
    return (np.moveaxis(moved, (0, 1), (axis_of(batch, x.ndim), axis_of(time, x.ndim))),)
