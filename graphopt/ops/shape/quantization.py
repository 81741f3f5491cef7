"""Quantising and dequantising."""

from __future__ import annotations

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import Result, dtype_of, is_given, shape_of
from graphopt.ops.table import Inference, shape_rule


@shape_rule("QuantizeLinear")
def quantize_linear(call: Inference) -> Result:
    """The data's shape, in the zero point's element type (`output_dtype`, else uint8, where there is none)."""
    dtype = dtype_of(call, 2)
    if not is_given(call, 2):
        dtype = DType(call.attributes.get("output_dtype", 0) or int(DType.UINT8))
    return (TensorType(dtype, shape_of(call, 0)),)


@shape_rule("DequantizeLinear")
def dequantize_linear(call: Inference) -> Result:
    """The data's shape, in the scale's element type (`output_dtype` where it is set)."""
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
