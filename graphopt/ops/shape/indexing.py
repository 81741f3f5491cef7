"""Operators that pick elements by place: Gather, Scatter, Slice and their like."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.ir.dim import Dim, floor_divide, function
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.extent import is_nonnegative, larger, smaller
from graphopt.ops.shape.operand import (
    Result,
    axes_in,
    axis_in,
    dims_in,
    dtype_of,
    elements,
    is_given,
    one_element,
    places,
    refuse,
    same_dim,
    same_shape,
    setting,
    shape_of,
    unknown,
    unknown_shape,
    vector,
    with_rank,
    within,
    within_bounds,
)
from graphopt.ops.table import Inference, shape_rule

_ENDLESS = (
    2**31 - 1
)  # ONNX: "for slicing to the end of a dimension with unknown size, it is recommended to pass INT_MAX"


@shape_rule("Gather")
def gather(call: Inference) -> Result:
    """The axis is replaced by the indices' dims."""
    data, indices = shape_of(call, 0), shape_of(call, 1)
    if data is None or indices is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, data, 1, "the data")
    axis = axis_in(call, call.attributes.get("axis", 0), len(data))
    places(call, 1, data[axis], "an index", f"axis {axis}")
    return (TensorType(dtype_of(call, 0), (*data[:axis], *indices, *data[axis + 1 :])),)


@shape_rule("GatherElements")
def gather_elements(call: Inference) -> Result:
    """The indices' shape; off the axis the indices must not reach beyond the data."""
    data, indices = shape_of(call, 0), shape_of(call, 1)
    if data is not None and indices is not None:
        _check_elements(call, data, indices)
    if indices is None and data is not None:
        indices = unknown_shape(call, len(data))
    return (TensorType(dtype_of(call, 0), indices),)


@shape_rule("Scatter", "ScatterElements")
def scatter_elements(call: Inference) -> Result:
    """The data's type; the updates have the shape of the indices, which off the axis do not reach beyond the data."""
    data, indices = shape_of(call, 0), shape_of(call, 1)
    if data is not None and indices is not None:
        _check_elements(call, data, indices)
    if indices is not None:
        same_shape(call, 2, indices, "updates")
    return (call.types[0],)


def _check_elements(call: Inference, data: Shape, indices: Shape) -> None:
    with_rank(call, data, 1, "the data")
    if len(data) != len(indices):
        refuse(call, f"data and indices must have one rank, got {len(data)} and {len(indices)}")
    axis = axis_in(call, call.attributes.get("axis", 0), len(data))
    for i, (room, size) in enumerate(zip(data, indices, strict=True)):
        if i != axis and isinstance(room, int) and isinstance(size, int) and size > room:
            refuse(call, f"indices have {size} elements in dimension {i}, where the data has {room}")
    if 0 not in indices:
        places(call, 1, data[axis], "an index", f"axis {axis}")


@shape_rule("GatherND")
def gather_nd(call: Inference) -> Result:
    """The indices' dims but the last, then what of the data one index leaves."""
    data, indices = shape_of(call, 0), shape_of(call, 1)
    if data is None or indices is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, data, 1, "the data")
    with_rank(call, indices, 1, "the indices")
    batch, width = call.attributes.get("batch_dims", 0), indices[-1]
    if not 0 <= batch < min(len(data), len(indices)):
        refuse(call, f"batch_dims is {batch}, for data of {len(data)} and indices of {len(indices)} dimensions")
    for i in range(batch):
        same_dim(call, data[i], indices[i], f"dimension {i} of data and indices, a batch dimension,")
    if not isinstance(width, int):
        return (TensorType(dtype_of(call, 0)),)
    _check_tuples(call, data[batch:], width, f" after {batch} batch dims" if batch else "")
    return (TensorType(dtype_of(call, 0), (*indices[:-1], *data[batch + width :])),)


@shape_rule("ScatterND")
def scatter_nd(call: Inference) -> Result:
    """The data's type; the updates have one slice of the data for each index."""
    data, indices = shape_of(call, 0), shape_of(call, 1)
    if data is not None and indices is not None:
        with_rank(call, data, 1, "the data")
        with_rank(call, indices, 1, "the indices")
        width = indices[-1]
        if isinstance(width, int):
            _check_tuples(call, data, width, "")
            same_shape(call, 2, (*indices[:-1], *data[width:]), "updates")
    return (call.types[0],)


def _check_tuples(call: Inference, data: Shape, width: int, where: str) -> None:
    """Indices are tuples, along the last axis, of places in the first dimensions of the data."""
    if not 1 <= width <= len(data):
        refuse(call, f"an index of {width} numbers{where} does not fit {len(data)} dimensions")
    known = elements(call, 1)
    if known is None or not known.size:
        return
    for i, size in enumerate(data[:width]):
        if isinstance(size, int):
            within_bounds(call, known[..., i], -size, size - 1, f"an index into dimension {i} of {size} elements")


@shape_rule("TensorScatter")
def tensor_scatter(call: Inference) -> Result:
    """The cache's type; the update differs from it in the axis alone, and lies inside it unless it wraps around."""
    cache, update = shape_of(call, 0), shape_of(call, 1)
    if cache is None or update is None:
        return (call.types[0],)
    with_rank(call, cache, 2, "past_cache")
    axis = axis_in(call, call.attributes.get("axis", -2), len(cache))
    if axis == 0:
        refuse(call, "the axis must not be that of the batch")
    same_shape(call, 1, (*cache[:axis], None, *cache[axis + 1 :]), "update")
    room, size = cache[axis], update[axis]
    if isinstance(room, int) and isinstance(size, int) and size > room:
        refuse(call, f"the update has {size} elements along axis {axis}, where the cache has {room}")
    vector(call, 2, cache[0], "write_indices")
    circular = call.attributes.get("mode", "linear") == "circular"
    within(call, 2, 0, room - 1 if circular else room - size, "write_indices")
    return (call.types[0],)


@shape_rule("Slice")
def slice_rule(call: Inference) -> Result:
    """Each named axis keeps every `step`-th element between start and end, both clamped to it."""
    data = shape_of(call, 0)
    if data is None:
        return (TensorType(dtype_of(call, 0)),)
    if call.version < 10:
        starts: Sequence[Dim] | None = call.attributes["starts"]
        ends: Sequence[Dim] | None = call.attributes["ends"]
        axes: Sequence[int] | None = call.attributes.get("axes")
        steps: Sequence[Dim] | None = None
        known = True
    else:
        starts, ends, steps = dims_in(call, 1), dims_in(call, 2), dims_in(call, 4)
        axes, known = setting(call, "axes", 3)
        if is_given(call, 4) and steps is None and starts is not None:
            steps = [unknown(call, 0)] * len(starts)
    count = next((len(x) for x in (axes, starts, ends, steps) if x is not None), None)
    if not known or count is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, len(data))),)
    found = axes_in(call, range(count) if axes is None else axes, len(data))
    if any(x is not None and len(x) != len(found) for x in (starts, ends, steps)):
        refuse(call, "starts, ends, axes and steps must have one length")
    dims = list(data)
    for i, axis in enumerate(found):
        step = 1 if steps is None else steps[i]
        if starts is None or ends is None or not isinstance(step, int):
            dims[axis] = unknown(call, axis)
        else:
            dims[axis] = sliced(call, data[axis], starts[i], ends[i], step)
    return (TensorType(dtype_of(call, 0), tuple(dims)),)


def sliced(call: Inference, size: Dim, start: Dim, end: Dim, step: int) -> Dim:
    """How many elements `start:end:step` keeps of `size`."""
    if step == 0:
        refuse(call, "a step must not be 0")
    if isinstance(size, int) and isinstance(start, int) and isinstance(end, int):
        return function("slice", size, start, end, step)
    if step < 0:
        if isinstance(start, int) and isinstance(end, int) and (start == -1 or start >= _ENDLESS) and end <= -_ENDLESS:
            return size if step == -1 else floor_divide(size - 1, -step) + 1
        return function("slice", size, start, end, step)
    first, last = _place(size, start), _place(size, end)
    if first is None or last is None:
        return function("slice", size, start, end, step)
    length = larger(last - first, 0)
    return length if step == 1 else -floor_divide(-length, step)


@shape_rule("OneHot")
def one_hot(call: Inference) -> Result:
    """The indices' shape with the depth put in at the axis."""
    indices, depth = shape_of(call, 0), dims_in(call, 1)
    if indices is None:
        return (TensorType(dtype_of(call, 2)),)
    axis = axis_in(call, call.attributes.get("axis", -1), len(indices) + 1)
    one_element(call, 1, "depth")
    vector(call, 2, 2, "values")
    size = unknown(call, axis) if depth is None else depth[0]
    if isinstance(size, int) and size < 0:
        refuse(call, f"depth must not be negative, got {size}")
    return (TensorType(dtype_of(call, 2), (*indices[:axis], size, *indices[axis:])),)


@shape_rule("NonZero")
def non_zero(call: Inference) -> Result:
    """One row for each dimension, one column for each element that is not zero."""
    shape = shape_of(call, 0)
    rows = unknown(call, 0) if shape is None else max(len(shape), 1) if call.version < 13 else len(shape)
    return (TensorType(DType.INT64, (rows, unknown(call, 1))),)


@shape_rule("Unique")
def unique(call: Inference) -> Result:
    """The unique elements or slices, and three vectors of places and counts."""
    data = shape_of(call, 0)
    count = unknown(call, 0)
    axis = call.attributes.get("axis")
    shape: Shape | None = (count,)
    every: Dim = unknown(call, 0, 2)
    if axis is not None:
        shape = None
        if data is not None:
            axis = axis_in(call, axis, len(data))
            shape, every = (*data[:axis], count, *data[axis + 1 :]), data[axis]
    elif data is not None:
        every = 1
        for dim in data:
            every = every * dim
    vector = TensorType(DType.INT64, (count,))
    return (TensorType(dtype_of(call, 0), shape), vector, TensorType(DType.INT64, (every,)), vector)[: call.outputs]


@shape_rule("NonMaxSuppression")
def non_max_suppression(call: Inference) -> Result:
    """A row [batch, class, box] for each box that is kept."""
    boxes, scores = shape_of(call, 0), shape_of(call, 1)
    same_shape(call, 0, (None, None, 4), "boxes")
    if boxes is not None:
        same_shape(call, 1, (boxes[0], None, boxes[1]), "scores")
    elif scores is not None:
        with_rank(call, scores, 3, "scores", 3)
    for slot, name in ((2, "max_output_boxes_per_class"), (3, "iou_threshold"), (4, "score_threshold")):
        one_element(call, slot, name)
    within(call, 2, 0, 2**63 - 1, "max_output_boxes_per_class")
    within(call, 3, 0, 1, "iou_threshold")
    return (TensorType(DType.INT64, (unknown(call, 0), 3)),)


def _place(size: Dim, place: Dim) -> Dim | None:
    """A start or end (for a positive step) counted from the front and clamped; None when its sign is not known."""
    if isinstance(place, int) and place >= _ENDLESS:
        return size
    if is_nonnegative(place):
        return smaller(place, size)
    if place + size == 0:
        return 0  # also where both are 0
    if is_nonnegative(-1 - place):
        return larger(size + place, 0)
    return None
