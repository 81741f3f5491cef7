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
    one_element,
    refuse,
    shape_of,
    unknown,
    unknown_shape,
    vector,
    with_rank,
    within,
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
    vector(call, 0, None, "the shape")
    if dims is not None:
        if any(isinstance(dim, int) and dim < 0 for dim in dims):
            refuse(call, f"the shape {dims} has a negative dimension")
        made = tuple([dim if is_nonnegative(dim) else unknown(call, i) for i, dim in enumerate(dims)])
        return (TensorType(dtype, made),)
    given = shape_of(call, 0)
    rank = given[0] if given is not None and len(given) == 1 else None
    if not isinstance(rank, int) or rank > MOST_DIMENSIONS:
        return (TensorType(dtype),)
    return (TensorType(dtype, unknown_shape(call, rank)),)


@shape_rule("Range")
def range_rule(call: Inference) -> Result:
    """A vector of max(ceil((limit - start) / delta), 0) numbers."""
    for slot, name in enumerate(("start", "limit", "delta")):
        one_element(call, slot, name)
        _check_finite(call, elements(call, slot), name)
    values = [elements(call, slot) for slot in range(3)]
    if any(value is None or value.size != 1 for value in values):
        return (TensorType(dtype_of(call, 0), (unknown(call, 0),)),)
    start, limit, delta = [_number(value) for value in values if value is not None]
    return (TensorType(dtype_of(call, 0), (_count(call, start, limit, delta),)),)


def _check_finite(call: Inference, values: np.ndarray | None, name: str) -> None:
    """MisfitError for a known element that is NaN or infinite."""
    if values is None or values.dtype.kind in "OSUiub":
        return
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        refuse(call, f"{name} must be finite, got {wide[~np.isfinite(wide)].flat[0]}")


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
        with np.errstate(all="ignore"):
            steps = (np.float64(limit) - np.float64(start)) / np.float64(delta)  # type: ignore[arg-type]
        if not np.isfinite(steps):
            refuse(call, f"from {start} to {limit} by {delta} there is no end")
        return max(math.ceil(steps), 0)
    first, last, step = [item if isinstance(item, Expr) else int(item) for item in (start, limit, delta)]  # type: ignore[call-overload]
    if not isinstance(step, int) or step == 0:
        return unknown(call, 0)
    length = larger(last - first, 0) if step > 0 else larger(first - last, 0)
    return -floor_divide(-length, abs(step)) if abs(step) > 1 else length


@shape_rule("Resize", "Upsample")
def resize(call: Inference) -> Result:
    """The sizes given, or each dimension times its scale, rounded down."""
    shape = shape_of(call, 0)
    scales_slot = 1 if call.op == "Upsample" or call.version < 11 else 2
    vector(call, scales_slot, None, "scales")
    vector(call, 3, None, "sizes")
    scales = elements(call, scales_slot)
    if "scales" in call.attributes:
        scales = np.asarray(call.attributes["scales"], np.float32)
    sizes = dims_in(call, 3)
    _check_scales(call, scales)
    within(call, 3, 0, 2**63 - 1, "sizes")
    if _has_elements(call, scales_slot) and _has_elements(call, 3):
        refuse(call, "has both scales and sizes; one of them must be left out, or empty")
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    axes = axes_in(call, call.attributes.get("axes") or range(len(shape)), len(shape))
    if sizes is not None and sizes:
        return (TensorType(dtype_of(call, 0), _sized(call, shape, sizes, axes)),)
    if scales is None or scales.size == 0 or (is_given(call, 3) and sizes is None and shape_of(call, 3) != (0,)):
        dims = [unknown(call, axis) if axis in axes else dim for axis, dim in enumerate(shape)]
        return (TensorType(dtype_of(call, 0), tuple(dims)),)
    if scales.size != len(axes):
        refuse(call, f"has {scales.size} scales for {len(axes)} axes")
    dims = list(shape)
    spans = _cropped(call, len(axes))
    for i, (axis, scale) in enumerate(zip(axes, scales.reshape(-1).tolist(), strict=True)):
        if spans is None:
            dims[axis] = unknown(call, axis)
        elif spans[i] == 1.0:
            dims[axis] = _scaled(dims[axis], scale)
        else:
            size = dims[axis]
            dims[axis] = math.floor(size * spans[i] * scale) if isinstance(size, int) else unknown(call, axis)
    _check_enlarged(call, shape, tuple(dims))
    return (TensorType(dtype_of(call, 0), tuple(dims)),)


def _has_elements(call: Inference, slot: int) -> bool:
    """Whether an operand is surely given and not empty."""
    known = shape_of(call, slot)
    return known is not None and len(known) == 1 and isinstance(known[0], int) and known[0] > 0


def _check_scales(call: Inference, scales: np.ndarray | None) -> None:
    if scales is None or scales.dtype == object:
        return
    _check_finite(call, scales, "scales")
    if scales.size and scales.min() <= 0:
        refuse(call, f"scales must be positive, got {scales.min()}")


def _cropped(call: Inference, count: int) -> list[float] | None:
    """How much of each axis is kept: all, unless `tf_crop_and_resize` names a region; None when that is not known."""
    if call.op == "Upsample" or call.attributes.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        return [1.0] * count
    vector(call, 1, 2 * count, "roi")
    if not is_given(call, 1):
        return [1.0] * count
    corners = elements(call, 1)
    if corners is None:
        return None
    _check_finite(call, corners, "roi")
    ends = corners.astype(np.float64).tolist()
    return [ends[i + count] - ends[i] for i in range(count)]


def _check_enlarged(call: Inference, shape: Shape, made: Shape) -> None:
    for axis, (old, new) in enumerate(zip(shape, made, strict=True)):
        if old == 0 and isinstance(new, int) and new > 0:
            refuse(call, f"axis {axis} has no elements, so it cannot be resized to {new}")


def _sized(call: Inference, shape: Shape, sizes: list[Dim], axes: list[int]) -> Shape:
    if len(sizes) != len(axes):
        refuse(call, f"has {len(sizes)} sizes for {len(axes)} axes")
    dims = list(shape)
    policy = call.attributes.get("keep_aspect_ratio_policy", "stretch")
    for i, axis in enumerate(axes):
        dims[axis] = sizes[i]
    if call.attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        _cropped(call, len(axes))
    if policy == "stretch":
        _check_enlarged(call, shape, tuple(dims))
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


@shape_rule("EyeLike")
def eye_like(call: Inference) -> Result:
    """A matrix's shape, of the element type that `dtype` names."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 2, "the data", 2)
    return random_like(call)


@shape_rule("RandomNormalLike", "RandomUniformLike", "Bernoulli")
def random_like(call: Inference) -> Result:
    """The operand's shape, of the element type that `dtype` names."""
    dtype = call.attributes.get("dtype")
    return (TensorType(dtype_of(call, 0) if dtype is None else DType(dtype), shape_of(call, 0)),)


@shape_rule("Multinomial")
def multinomial(call: Inference) -> Result:
    """A row of samples for each row."""
    shape = shape_of(call, 0)
    rows = unknown(call, 0) if shape is None else with_rank(call, shape, 2, "the data", 2)[0]
    if shape is not None and shape[1] == 0:
        refuse(call, "there are no classes to draw from")
    dtype = DType(call.attributes.get("dtype", int(DType.INT32)))
    return (TensorType(dtype, (rows, call.attributes.get("sample_size", 1))),)


@shape_rule("BlackmanWindow", "HammingWindow", "HannWindow")
def window(call: Inference) -> Result:
    """A vector of the given length."""
    length = dims_in(call, 0)
    one_element(call, 0, "size")
    within(call, 0, 0, 2**63 - 1, "size")
    size = unknown(call, 0) if length is None else length[0]
    return (TensorType(DType(call.attributes.get("output_datatype", 1)), (size,)),)
