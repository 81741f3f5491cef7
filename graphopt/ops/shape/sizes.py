"""Operators about shapes themselves, and those that make tensors of a shape: Shape, Range, Resize, random ones."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from graphopt.ir.dim import Dim, Expr, floor_divide, function
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.extent import is_nonnegative, larger
from graphopt.ops.shape.operand import (
    MOST_DIMENSIONS,
    Result,
    axes_in,
    dims_in,
    dtype_of,
    elements,
    is_given,
    refuse,
    shape_of,
    unknown,
    unknown_shape,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("Shape")
def shape_rule_of_shape(call: Inference) -> Result:
    """A vector with one number for each dimension between `start` and `end`."""
    shape = shape_of(call, 0)
    length = unknown(call, 0) if shape is None else len(measured(call, shape))
    return (TensorType(DType.INT64, (length,)),)


def measured(call: Inference, shape: Shape) -> Shape:
    """The dimensions that Shape gives: those between `start` and `end`, clamped."""
    return shape[call.attributes.get("start", 0) : call.attributes.get("end", len(shape))]


@shape_rule("Size")
def size(call: Inference) -> Result:
    """One number."""
    return (TensorType(DType.INT64, ()),)


@shape_rule("ConstantOfShape")
def constant_of_shape(call: Inference) -> Result:
    """The shape operand's dims; the value's element type, float32 by default."""
    value = call.attributes.get("value")
    dtype = DType.FLOAT32 if value is None else DType.of(value.dtype)
    dims = dims_in(call, 0)
    if dims is not None:
        if any(isinstance(dim, int) and dim < 0 for dim in dims):
            refuse(call, f"the shape {dims} has a negative dimension")
        made = tuple([dim if is_nonnegative(dim) else unknown(call, i) for i, dim in enumerate(dims)])
        return (TensorType(dtype, made),)
    vector = shape_of(call, 0)
    rank = vector[0] if vector is not None and len(vector) == 1 else None
    if not isinstance(rank, int) or rank > MOST_DIMENSIONS:
        return (TensorType(dtype),)
    return (TensorType(dtype, unknown_shape(call, rank)),)


@shape_rule("Range")
def range_rule(call: Inference) -> Result:
    """A vector of max(ceil((limit - start) / delta), 0) numbers."""
    values = [elements(call, slot) for slot in range(3)]
    if any(value is None or value.size != 1 for value in values):
        return (TensorType(dtype_of(call, 0), (unknown(call, 0),)),)
    start, limit, delta = [_number(value) for value in values if value is not None]
    return (TensorType(dtype_of(call, 0), (_count(call, start, limit, delta),)),)


def _number(value: np.ndarray) -> object:
    item = value.reshape(-1)[0]
    return int(item) if isinstance(item, np.integer) else item


def _count(call: Inference, start: object, limit: object, delta: object) -> Dim:
    symbolic = any(isinstance(item, Expr) for item in (start, limit, delta))
    if not symbolic:
        if not delta:
            refuse(call, "delta must not be 0")
        if isinstance(limit, int) and isinstance(start, int) and isinstance(delta, int):
            return max(-((start - limit) // delta), 0)
        steps = np.float64(np.subtract(limit, start)) / np.float64(delta)  # type: ignore[arg-type]
        return max(math.ceil(steps), 0) if np.isfinite(steps) else unknown(call, 0)
    first, last, step = [item if isinstance(item, Expr) else int(item) for item in (start, limit, delta)]  # type: ignore[call-overload]
    if not isinstance(step, int) or step == 0:
        return unknown(call, 0)
    length = larger(last - first, 0) if step > 0 else larger(first - last, 0)
    return -floor_divide(-length, abs(step)) if abs(step) > 1 else length


@shape_rule("Resize", "Upsample")
def resize(call: Inference) -> Result:
    """The sizes given, or each dimension times its scale, rounded down."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    scales_slot = 1 if call.op == "Upsample" or call.version < 11 else 2
    scales = elements(call, scales_slot)
    if "scales" in call.attributes:
        scales = np.asarray(call.attributes["scales"], np.float32)
    sizes = dims_in(call, 3)
    axes = axes_in(call, call.attributes.get("axes") or range(len(shape)), len(shape))
    if sizes is not None and sizes:
        return (TensorType(dtype_of(call, 0), _sized(call, shape, sizes, axes)),)
    if scales is None or scales.size == 0 or (is_given(call, 3) and sizes is None and shape_of(call, 3) != (0,)):
        dims = [unknown(call, axis) if axis in axes else dim for axis, dim in enumerate(shape)]
        return (TensorType(dtype_of(call, 0), tuple(dims)),)
    if scales.size != len(axes):
        refuse(call, f"has {scales.size} scales for {len(axes)} axes")
    dims = list(shape)
    for axis, scale in zip(axes, scales.reshape(-1).tolist(), strict=True):
        dims[axis] = _scaled(dims[axis], scale)
    return (TensorType(dtype_of(call, 0), tuple(dims)),)


def _sized(call: Inference, shape: Shape, sizes: list[Dim], axes: list[int]) -> Shape:
    if len(sizes) != len(axes):
        refuse(call, f"has {len(sizes)} sizes for {len(axes)} axes")
    dims = list(shape)
    policy = call.attributes.get("keep_aspect_ratio_policy", "stretch")
    for i, axis in enumerate(axes):
        dims[axis] = sizes[i]
    if policy == "stretch":
        return tuple(dims)
    have, want = [shape[axis] for axis in axes], sizes
    if not all(isinstance(dim, int) and dim for dim in (*have, *want)):
        return tuple([unknown(call, axis) if axis in axes else dim for axis, dim in enumerate(shape)])
    ratios = [int(b) / int(a) for a, b in zip(have, want, strict=True)]  # type: ignore[arg-type]
    scale = min(ratios) if policy == "not_larger" else max(ratios)
    for axis in axes:
        dims[axis] = math.floor(scale * int(shape[axis]) + 0.5)  # type: ignore[arg-type]
    return tuple(dims)


def _scaled(dim: Dim, scale: float) -> Dim:
    if isinstance(dim, int):
        return math.floor(dim * scale)
    exact = Fraction(scale)
    if exact.denominator == 1:
        return dim * exact.numerator
    if exact.denominator & (exact.denominator - 1) == 0 and exact.denominator <= 2**10:
        return floor_divide(dim * exact.numerator, exact.denominator)
    return function("scale", dim, exact.numerator, exact.denominator)


@shape_rule("RandomNormal", "RandomUniform")
def random(call: Inference) -> Result:
    """The shape that the attribute names."""
    return (TensorType(DType(call.attributes.get("dtype", 1)), tuple(call.attributes["shape"])),)


@shape_rule("RandomNormalLike", "RandomUniformLike", "Bernoulli", "EyeLike")
def random_like(call: Inference) -> Result:
    """The operand's shape, of the element type that `dtype` names."""
    dtype = call.attributes.get("dtype")
    return (TensorType(dtype_of(call, 0) if dtype is None else DType(dtype), shape_of(call, 0)),)


@shape_rule("Multinomial")
def multinomial(call: Inference) -> Result:
    """A row of samples for each row."""
    shape = shape_of(call, 0)
    rows = unknown(call, 0) if shape is None else shape[0]
    dtype = DType(call.attributes.get("dtype", int(DType.INT32)))
    return (TensorType(dtype, (rows, call.attributes.get("sample_size", 1))),)


@shape_rule("BlackmanWindow", "HammingWindow", "HannWindow")
def window(call: Inference) -> Result:
    """A vector of the given length."""
    length = dims_in(call, 0)
    size = unknown(call, 0) if length is None else length[0]
    return (TensorType(DType(call.attributes.get("output_datatype", 1)), (size,)),)
