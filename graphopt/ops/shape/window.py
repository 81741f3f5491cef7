"""Sliding windows: convolution, its transpose, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphopt.ir.dim import Dim, floor_divide, function, product
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import (
    Result,
    dims_in,
    divisible,
    dtype_of,
    elements,
    ints_in,
    one_element,
    refuse,
    same_dim,
    same_shape,
    shape_of,
    tensor,
    unknown_shape,
    vector,
    with_rank,
    within,
    within_bounds,
)
from graphopt.ops.table import Inference, shape_rule


@dataclass(frozen=True, slots=True)
class Window:
    """How a window moves over the spatial axes."""

    kernel: tuple[Dim, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    """Before each axis, then after each axis."""
    auto_pad: str


def window_of(call: Inference, kernel: Sequence[Dim], rank: int) -> Window:
    """The window of an application over `rank` spatial axes; ModelError when a list has the wrong length."""
    attributes = call.attributes

    def numbers(name: str, default: int, count: int) -> tuple[int, ...]:
        given = tuple(attributes.get(name, ())) or (default,) * count
        if len(given) != count:
            refuse(call, f"{name} has {len(given)} numbers for {rank} spatial axes")
        return given

    if len(kernel) != rank:
        refuse(call, f"a kernel of {len(kernel)} dimensions does not fit {rank} spatial axes")
    strides, dilations = numbers("strides", 1, rank), numbers("dilations", 1, rank)
    if min((*strides, *dilations), default=1) < 1:
        refuse(call, "strides and dilations must be positive")
    if any(isinstance(size, int) and size < 1 for size in kernel):
        refuse(call, f"a kernel must not be empty, got {list(kernel)}")
    if min(attributes.get("pads") or (0,)) < 0:
        refuse(call, f"pads must not be negative, got {list(attributes['pads'])}")
    auto_pad = str(attributes.get("auto_pad", "NOTSET") or "NOTSET")
    return Window(tuple(kernel), strides, dilations, numbers("pads", 0, 2 * rank), auto_pad)


def slid(call: Inference, spatial: Shape, window: Window, *, ceil: bool = False) -> Shape:
    """How many places the window takes along each spatial axis."""
    rank, sizes = len(spatial), list[Dim]()
    for axis, size in enumerate(spatial):
        stride = window.strides[axis]
        reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
        if window.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            sizes.append(-floor_divide(-size, stride) if stride > 1 else size)
            continue
        before, after = (0, 0) if window.auto_pad == "VALID" else (window.pads[axis], window.pads[axis + rank])
        room = size + (before + after) - reach
        if isinstance(room, int) and room < 0:
            refuse(call, f"a window of {reach} does not fit {size} elements padded by {before} and {after}")
        places = (-floor_divide(-room, stride) if ceil else floor_divide(room, stride)) + 1 if stride > 1 else room + 1
        sizes.append(_without_empty(places, size, before, stride) if ceil else places)
    return tuple(sizes)


def _without_empty(places: Dim, size: Dim, before: int, stride: int) -> Dim:
    """A last window that would start in the padding after the end is left out (as PyTorch and ONNX 1.16 say)."""
    return function("places", places, stride, size + before)


@shape_rule("Conv", "ConvInteger")
def conv(call: Inference) -> Result:
    """[N, C, spatial…] by a kernel [M, C / group, window…] gives [N, M, places…]."""
    dtype = DType.INT32 if call.op == "ConvInteger" else dtype_of(call, 0)
    weight = shape_of(call, 1)
    if call.op == "ConvInteger":
        one_element(call, 2, "x_zero_point")
        _per_channel(call, 3, weight, "w_zero_point")
    elif weight:
        vector(call, 2, weight[0], "the bias")
    return (TensorType(dtype, _convolved(call, shape_of(call, 0), shape_of(call, 1))),)


@shape_rule("QLinearConv")
def qlinear_conv(call: Inference) -> Result:
    """As Conv of the operands 0 and 3, in the element type of the output's zero point."""
    weight = shape_of(call, 3)
    for slot, name in ((1, "x_scale"), (2, "x_zero_point"), (6, "y_scale"), (7, "y_zero_point")):
        one_element(call, slot, name)
    _per_channel(call, 4, weight, "w_scale")
    _per_channel(call, 5, weight, "w_zero_point")
    if weight:
        vector(call, 8, weight[0], "the bias")
    return (TensorType(dtype_of(call, 7), _convolved(call, shape_of(call, 0), shape_of(call, 3))),)


def _per_channel(call: Inference, slot: int, weight: Shape | None, name: str) -> None:
    """A scale or zero point of the kernel: one number, or one for each output channel."""
    shape = shape_of(call, slot)
    if weight and shape is not None and not all(dim == 1 for dim in shape):
        vector(call, slot, weight[0], name)


@shape_rule("ConvTranspose")
def conv_transpose(call: Inference) -> Result:
    """[N, C, spatial…] by a kernel [C, M / group, window…], as the gradient of a convolution."""
    data, weight, dtype = shape_of(call, 0), shape_of(call, 1), dtype_of(call, 0)
    if data is None or weight is None:
        known = data if data is not None else weight
        return (TensorType(dtype, None if known is None else unknown_shape(call, len(known))),)
    with_rank(call, data, 3, "the data")
    with_rank(call, weight, len(data), "the kernel", len(data))
    rank, group = len(data) - 2, call.attributes.get("group", 1)
    same_dim(call, data[1], weight[0], "the channels of data and kernel")
    divisible(call, weight[0], group, "the channels")
    vector(call, 2, weight[1] * group, "the bias")
    window = window_of(call, call.attributes.get("kernel_shape") or weight[2:], rank)
    for axis, dim in enumerate(weight[2:]):
        same_dim(call, window.kernel[axis], dim, "kernel_shape and the kernel's own shape")
    extra = tuple(call.attributes.get("output_padding", ())) or (0,) * rank
    explicit = tuple(call.attributes.get("output_shape", ()))
    if len(extra) != rank or min(extra, default=0) < 0:
        refuse(call, f"output_padding {list(extra)} does not fit {rank} spatial axes")
    if explicit and len(explicit) not in (rank, rank + 2):
        refuse(call, f"output_shape {list(explicit)} does not fit {rank} spatial axes")
    if explicit:
        return (TensorType(dtype, (data[0], weight[1] * group, *explicit[-rank:])),)
    sizes: list[Dim] = []
    for axis, size in enumerate(data[2:]):
        stride = window.strides[axis]
        if window.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            sizes.append(size * stride)
            continue
        pads = 0 if window.auto_pad == "VALID" else window.pads[axis] + window.pads[axis + rank]
        reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
        sizes.append((size - 1) * stride + extra[axis] + reach - pads)
    return (TensorType(dtype, (data[0], weight[1] * group, *sizes)),)


@shape_rule("MaxPool", "AveragePool", "LpPool")
def pool(call: Inference) -> Result:
    """Each channel by itself; MaxPool's second output holds places."""
    data = tensor(call, 0)
    if data is None or data.shape is None:
        return (TensorType(dtype_of(call, 0)), TensorType(DType.INT64))[: call.outputs]
    with_rank(call, data.shape, 3, "the data")
    window = window_of(call, call.attributes["kernel_shape"], len(data.shape) - 2)
    spatial = slid(call, data.shape[2:], window, ceil=bool(call.attributes.get("ceil_mode", 0)))
    shape = (*data.shape[:2], *spatial)
    return (TensorType(data.dtype, shape), TensorType(DType.INT64, shape))[: call.outputs]


@shape_rule("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(call: Inference) -> Result:
    """Every spatial axis becomes 1."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, shape, 2, "the data")
    return (TensorType(dtype_of(call, 0), (*shape[:2], *(1,) * (len(shape) - 2))),)


@shape_rule("MaxUnpool")
def max_unpool(call: Inference) -> Result:
    """The shape given, or that from which MaxPool with this window would have come."""
    data = shape_of(call, 0)
    given = ints_in(call, 2)
    if data is None:
        return (TensorType(dtype_of(call, 0), None if given is None else tuple(given)),)
    with_rank(call, data, 3, "the data")
    same_shape(call, 1, data, "I")
    vector(call, 2, len(data), "output_shape")
    window = window_of(call, call.attributes["kernel_shape"], len(data) - 2)
    rank = len(data) - 2
    spatial = [
        (size - 1) * window.strides[axis] + window.kernel[axis] - window.pads[axis] - window.pads[axis + rank]
        for axis, size in enumerate(data[2:])
    ]
    inferred = (*data[:2], *spatial)
    size = product(inferred)
    within(call, 1, 0, size - 1, "an index of I")
    if len(call.types) < 3 or call.types[2] is None:
        return (TensorType(dtype_of(call, 0), inferred),)
    if given is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, len(data))),)
    if any(isinstance(a, int) and a > b for a, b in zip(inferred, given, strict=True)):
        refuse(call, f"output_shape {given} is smaller than the {list(inferred)} that was pooled")
    return (TensorType(dtype_of(call, 0), tuple(given)),)


@shape_rule("MaxRoiPool")
def max_roi_pool(call: Inference) -> Result:
    """One picture of the pooled size for each region."""
    data, rois = shape_of(call, 0), shape_of(call, 1)
    if data is None or rois is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 4)),)
    with_rank(call, data, 4, "X", 4)
    same_shape(call, 1, (None, 5), "rois")
    known = elements(call, 1)
    if known is not None and len(rois) == 2 and rois[1] == 5:
        if not np.isfinite(known).all():
            refuse(call, "a region must be of finite numbers")
        within_bounds(call, known[:, 0], 0, data[0] - 1, "the image of a region")
    size = call.attributes["pooled_shape"]
    if len(size) != 2 or min(size) < 1:
        refuse(call, f"pooled_shape must be two positive numbers, got {list(size)}")
    return (TensorType(dtype_of(call, 0), (rois[0], data[1], *size)),)


@shape_rule("RoiAlign")
def roi_align(call: Inference) -> Result:
    """One picture of the output size for each region."""
    data, rois = shape_of(call, 0), shape_of(call, 1)
    if data is None or rois is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 4)),)
    with_rank(call, data, 4, "X", 4)
    same_shape(call, 1, (None, 4), "rois")
    vector(call, 2, rois[0], "batch_indices")
    within(call, 2, 0, data[0] - 1, "batch_indices")
    known = elements(call, 1)
    if known is not None and not np.isfinite(known.astype(np.float64)).all():
        refuse(call, "a region must be of finite numbers")
    size = (call.attributes.get("output_height", 1), call.attributes.get("output_width", 1))
    return (TensorType(dtype_of(call, 0), (rois[0], data[1], *size)),)


@shape_rule("Col2Im")
def col2im(call: Inference) -> Result:
    """[N, C * window, L] gives [N, C, image…]."""
    data, image, block = shape_of(call, 0), dims_in(call, 1), dims_in(call, 2)
    if data is None or image is None or block is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, data, 3, "the columns", 3)
    vector(call, 1, None, "image_shape")
    vector(call, 2, len(image), "block_shape")
    within(call, 1, 0, 2**63 - 1, "image_shape")
    within(call, 2, 1, 2**63 - 1, "block_shape")
    area = product(block)
    if isinstance(area, int):
        divisible(call, data[1], area, "the second dimension of the columns")
    window = window_of(call, block, len(image))
    same_dim(call, data[2], product(slid(call, tuple(image), window)), "the columns and the places of the block")
    return (TensorType(dtype_of(call, 0), (data[0], floor_divide(data[1], area), *image)),)


@shape_rule("GridSample")
def grid_sample(call: Inference) -> Result:
    """[N, C, spatial…] sampled by a grid [N, places…, spatial axes] gives [N, C, places…]."""
    data, grid, dtype = shape_of(call, 0), shape_of(call, 1), dtype_of(call, 0)
    if data is None or grid is None:
        known = data if data is not None else grid
        return (TensorType(dtype, None if known is None else unknown_shape(call, len(known))),)
    with_rank(call, data, 3, "X")
    with_rank(call, grid, len(data), "grid", len(data))
    batch = same_dim(call, data[0], grid[0], "the batches of X and grid")
    same_dim(call, len(data) - 2, grid[-1], "the spatial axes of X and the coordinates of the grid")
    if 0 in data[2:] and 0 not in grid:
        refuse(call, f"there is nothing to sample in X of shape [{', '.join(map(str, data))}]")
    return (TensorType(dtype, (batch, data[1], *grid[1:-1])),)


@shape_rule("AffineGrid")
def affine_grid(call: Inference) -> Result:
    """[N, 2, 3] and a size [N, C, H, W] give a grid [N, H, W, 2]; likewise in three dimensions."""
    theta, size = shape_of(call, 0), dims_in(call, 1)
    vector(call, 1, None, "size")
    if theta is not None:
        with_rank(call, theta, 3, "theta", 3)
        if isinstance(theta[1], int) and theta[1] not in (2, 3):
            refuse(call, f"theta must be [N, 2, 3] or [N, 3, 4], got [{', '.join(map(str, theta))}]")
        same_shape(call, 0, (None, None, theta[1] + 1), "theta")
        vector(call, 1, theta[1] + 2, "size")
    if size is None:
        rank = None if theta is None or not isinstance(theta[1], int) else theta[1] + 2
        return (TensorType(dtype_of(call, 0), None if rank is None else unknown_shape(call, rank)),)
    within(call, 1, 1, 2**63 - 1, "size")
    if len(size) not in (4, 5):
        refuse(call, f"size must have 4 or 5 numbers, got {len(size)}")
    same_shape(call, 0, (size[0], len(size) - 2, len(size) - 1), "theta")
    return (TensorType(dtype_of(call, 0), (size[0], *size[2:], len(size) - 2)),)


def _convolved(call: Inference, data: Shape | None, weight: Shape | None) -> Shape | None:
    if data is None or weight is None:
        known = data if data is not None else weight
        return None if known is None else unknown_shape(call, len(known))
    with_rank(call, data, 3, "the data")
    with_rank(call, weight, len(data), "the kernel", len(data))
    group = call.attributes.get("group", 1)
    same_dim(call, data[1], weight[1] * group, "the channels of data and kernel")
    divisible(call, weight[0], group, "the channels of the result")
    window = window_of(call, call.attributes.get("kernel_shape") or weight[2:], len(data) - 2)
    for axis, dim in enumerate(weight[2:]):
        same_dim(call, window.kernel[axis], dim, "kernel_shape and the kernel's own shape")
    return (data[0], weight[0], *slid(call, data[2:], window))
