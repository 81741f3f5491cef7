"""Quantising and dequantising."""

from __future__ import annotations

from graphopt.ir.dim import floor_divide
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import Result, axis_in, dtype_of, is_given, refuse, same_shape, shape_of
from graphopt.ops.table import Inference, shape_rule


@shape_rule("QuantizeLinear")
def quantize_linear(call: Inference) -> Result:
    """The data's shape, in the zero point's element type (`output_dtype`, else uint8, where there is none)."""
    _check_scales(call, "y_scale", "y_zero_point")
    dtype = dtype_of(call, 2)
    if not is_given(call, 2):
        dtype = DType(call.attributes.get("output_dtype", 0) or int(DType.UINT8))
    return (TensorType(dtype, shape_of(call, 0)),)


@shape_rule("DequantizeLinear")
def dequantize_linear(call: Inference) -> Result:
    """The data's shape, in the scale's element type (`output_dtype` where it is set)."""
    _check_scales(call, "x_scale", "x_zero_point")
    wanted = call.attributes.get("output_dtype", 0)
    return (TensorType(DType(wanted) if wanted else dtype_of(call, 1), shape_of(call, 0)),)


@shape_rule("QuantizeLinear", domain="com.microsoft")
def quantize_linear_ms(call: Inference) -> Result:
    """As the standard operator."""
    return quantize_linear(call)


@shape_rule("DequantizeLinear", domain="com.microsoft")
def dequantize_linear_ms(call: Inference) -> Result:
    """As the standard operator."""
    return dequantize_linear(call)


@shape_rule("DynamicQuantizeLinear")
def dynamic_quantize_linear(call: Inference) -> Result:
    """uint8 elements, with a scale and a zero point that are found as it runs."""
    return (TensorType(DType.UINT8, shape_of(call, 0)), TensorType(DType.FLOAT32, ()), TensorType(DType.UINT8, ()))


def _check_scales(call: Inference, scale_name: str, zero_name: str) -> None:
    """Scale and zero point have one shape: one number, one for each place along the axis, or one for each block."""
    data, scale, zero = shape_of(call, 0), shape_of(call, 1), shape_of(call, 2)
    for shape, slot, name in ((scale, 1, scale_name), (zero, 2, zero_name)):
        if data is not None and shape is not None and not all(dim == 1 for dim in shape):
            _check_spread(call, data, shape, slot, name)
    if scale is not None and not all(dim == 1 for dim in scale):
        same_shape(call, 2, scale, zero_name)


def _check_spread(call: Inference, data: Shape, shape: Shape, slot: int, name: str) -> None:
    axis = axis_in(call, call.attributes.get("axis", 1), len(data)) if len(data) > 1 else 0
    block = int(call.attributes.get("block_size", 0))
    if block < 0 or (len(shape) > 1 and not block):
        refuse(call, f"{name} of {len(shape)} dimensions needs a positive block_size, got {block}")
    if block:
        same_shape(call, slot, (*data[:axis], -floor_divide(-data[axis], block), *data[axis + 1 :]), name)
    elif data:
        same_shape(call, slot, (data[axis],), name)
    else:
        refuse(call, f"{name} must have one element, got shape [{', '.join(map(str, shape))}]")
