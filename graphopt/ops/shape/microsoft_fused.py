"""com.microsoft: what ONNX Runtime makes of several operators, or of another layout, when it optimises a model."""

from __future__ import annotations

from dataclasses import replace

from graphopt.ir.dim import floor_divide
from graphopt.ir.types import Shape, TensorType, Type
from graphopt.ops.shape.operand import (
    Result,
    axis_in,
    divisible,
    dtype_of,
    same_shape,
    shape_of,
    spreads,
    tensor,
    vector,
    with_rank,
)
from graphopt.ops.shape.product import fused_matmul, gemm, product_shape
from graphopt.ops.shape.window import conv, pool
from graphopt.ops.table import Inference, shape_rule

_DOMAIN = "com.microsoft"


def channels_first(call: Inference, *slots: int) -> Inference:
    """The application, with the channels of these operands on axis 1 instead of the last."""
    types = tuple(_moved(type, 1) if slot in slots else type for slot, type in enumerate(call.types))
    return replace(call, types=types)


def channels_last(types: Result) -> Result:
    """Types with channels on axis 1, with their channels last."""
    return tuple(_moved(type, -1) for type in types)


def _moved(type: Type | None, to: int) -> Type | None:
    if not isinstance(type, TensorType) or type.shape is None or len(type.shape) < 3:
        return type
    first, *rest = type.shape
    shape: Shape = (first, rest[-1], *rest[:-1]) if to == 1 else (first, *rest[1:], rest[0])
    return TensorType(type.dtype, shape)


@shape_rule("FusedConv", domain=_DOMAIN)
def fused_conv(call: Inference) -> Result:
    """As Conv; what is added has the shape of the result."""
    (made,) = conv(call)
    if isinstance(made, TensorType) and made.shape is not None:
        same_shape(call, 3, made.shape, "Z")
    return (made,)


@shape_rule("NhwcConv", "NhwcFusedConv", domain=_DOMAIN)
def nhwc_conv(call: Inference) -> Result:
    """As FusedConv, of data whose channels lie last; the weights lie as Conv's."""
    return channels_last(fused_conv(channels_first(call, 0, 3)))


@shape_rule("NhwcMaxPool", domain=_DOMAIN)
def nhwc_max_pool(call: Inference) -> Result:
    """As MaxPool, of data whose channels lie last."""
    return channels_last(pool(channels_first(call, 0)))


@shape_rule("FusedGemm", domain=_DOMAIN)
def fused_gemm(call: Inference) -> Result:
    """As Gemm."""
    return gemm(call)


@shape_rule("TransposeMatMul", "FusedMatMulActivation", domain=_DOMAIN)
def fused_matmul_activation(call: Inference) -> Result:
    """As FusedMatMul."""
    return fused_matmul(call)


@shape_rule("GemmFastGelu", domain=_DOMAIN)
def gemm_fast_gelu(call: Inference) -> Result:
    """As MatMul; the bias has one number for each column."""
    weights = shape_of(call, 1)
    if weights:
        vector(call, 2, weights[-1], "bias")
    return (TensorType(dtype_of(call, 0), product_shape(call, shape_of(call, 0), weights)),)


@shape_rule("BiasAdd", domain=_DOMAIN)
def bias_add(call: Inference) -> Result:
    """The data's type; skip has its shape, and the bias one number for each element of the last axis."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 1, "X")
        vector(call, 1, shape[-1], "bias")
        same_shape(call, 2, shape, "skip")
    return (tensor(call, 0),)


@shape_rule("BiasSplitGelu", domain=_DOMAIN)
def bias_split_gelu(call: Inference) -> Result:
    """Half of the data's last axis; the bias has one number for each element of it."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, shape, 1, "X")
    vector(call, 1, shape[-1], "bias")
    divisible(call, shape[-1], 2, "the last axis")
    return (TensorType(dtype_of(call, 0), (*shape[:-1], floor_divide(shape[-1], 2))),)


@shape_rule("BiasSoftmax", domain=_DOMAIN)
def bias_softmax(call: Inference) -> Result:
    """The data's type; the bias broadcasts to it, or has its first axes and those from `axis` on."""
    shape, bias = shape_of(call, 0), shape_of(call, 1)
    if shape is None or bias is None:
        return (tensor(call, 0),)
    axis = axis_in(call, call.attributes.get("axis", 1), len(shape))
    if call.attributes["is_inner_broadcast"] and len(bias) < len(shape):
        lead = len(bias) - (len(shape) - axis)
        same_shape(call, 1, (*shape[: max(lead, 0)], *shape[axis:]), "bias")
    else:
        spreads(call, 1, shape, "bias")
    return (tensor(call, 0),)
