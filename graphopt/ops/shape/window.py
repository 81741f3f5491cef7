"""Sliding windows: convolution, its transpose, pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphopt.ir.dim import Dim, floor_divide, function
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import (
    Result,
    dims_in,
    dtype_of,
    ints_in,
    refuse,
    same_dim,
    shape_of,
    tensor,
    unknown_shape,
    with_rank,
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
    return (TensorType(dtype, _convolved(call, shape_of(call, 0), shape_of(call, 1))),)


@shape_rule("QLinearConv")
def qlinear_conv(call: Inference) -> Result:
    """As Conv of the operands 0 and 3, in the element type of the output's zero point."""
    return (TensorType(dtype_of(call, 7), _convolved(call, shape_of(call, 0), shape_of(call, 3))),)


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
    window = window_of(call, call.attributes.get("kernel_shape") or weight[2:], rank)
    extra = tuple(call.attributes.get("output_padding", ())) or (0,) * rank
    explicit = tuple(call.attributes.get("output_shape", ()))
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
    if given is not None:
        return (TensorType(dtype_of(call, 0), tuple(given)),)
    if data is None or len(call.types) > 2:
        return (TensorType(dtype_of(call, 0), None if data is None else unknown_shape(call, len(data))),)
    window = window_of(call, call.attributes["kernel_shape"], len(data) - 2)
    rank = len(data) - 2
    spatial = [
        (size - 1) * window.strides[axis] + window.kernel[axis] - window.pads[axis] - window.pads[axis + rank]
        for axis, size in enumerate(data[2:])
    ]
    return (TensorType(dtype_of(call, 0), (*data[:2], *spatial)),)


@shape_rule("MaxRoiPool")
def max_roi_pool(call: Inference) -> Result:
    """One picture of the pooled size for each region."""
    data, rois = shape_of(call, 0), shape_of(call, 1)
    if data is None or rois is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 4)),)
    return (TensorType(dtype_of(call, 0), (rois[0], data[1], *call.attributes["pooled_shape"])),)


@shape_rule("RoiAlign")
def roi_align(call: Inference) -> Result:
    """One picture of the output size for each region."""
    data, rois = shape_of(call, 0), shape_of(call, 1)
    if data is None or rois is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 4)),)
    size = (call.attributes.get("output_height", 1), call.attributes.get("output_width", 1))
    return (TensorType(dtype_of(call, 0), (rois[0], data[1], *size)),)


@shape_rule("Col2Im")
def col2im(call: Inference) -> Result:
    """[N, C * window, L] gives [N, C, image…]."""
    data, image, block = shape_of(call, 0), dims_in(call, 1), dims_in(call, 2)
    if data is None or image is None or block is None:
        return (TensorType(dtype_of(call, 0)),)
    area: Dim = 1
    for dim in block:
        area = area * dim
    return (TensorType(dtype_of(call, 0), (data[0], floor_divide(data[1], area), *image)),)


def _convolved(call: Inference, data: Shape | None, weight: Shape | None) -> Shape | None:
    if data is None or weight is None:
        known = data if data is not None else weight
        return None if known is None else unknown_shape(call, len(known))
    with_rank(call, data, 3, "the data")
    with_rank(call, weight, len(data), "the kernel", len(data))
    group = call.attributes.get("group", 1)
    same_dim(call, data[1], weight[1] * group, "the channels of data and kernel")
    window = window_of(call, call.attributes.get("kernel_shape") or weight[2:], len(data) - 2)
    for axis, dim in enumerate(weight[2:]):
        same_dim(call, window.kernel[axis], dim, "kernel_shape and the kernel's own shape")
    return (data[0], weight[0], *slid(call, data[2:], window))
