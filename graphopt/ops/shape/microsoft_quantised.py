"""com.microsoft: quantised operators beside the standard's; their scales and zero points are one number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.microsoft_fused import channels_first, channels_last
from graphopt.ops.shape.movement import concat
from graphopt.ops.shape.operand import (
    Result,
    axes_in,
    broadcast,
    dtype_of,
    is_given,
    one_element,
    refuse,
    shape_of,
    tensor,
    vector,
    with_rank,
)
from graphopt.ops.shape.product import gemm
from graphopt.ops.shape.window import global_pool, pool, qlinear_conv
from graphopt.ops.table import Inference, shape_rule

_DOMAIN = "com.microsoft"


def _scalars(call: Inference, slots: Iterable[int]) -> None:
    for slot in slots:
        one_element(call, slot, f"the scale or zero point in input {slot}")


@shape_rule("QLinearAdd", "QLinearMul", domain=_DOMAIN)
def qlinear_binary(call: Inference) -> Result:
    """The broadcast of A and B, in their element type."""
    _scalars(call, (1, 2, 4, 5, 6, 7))
    return (TensorType(dtype_of(call, 0), broadcast(call, [shape_of(call, 0), shape_of(call, 3)])),)


@shape_rule("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", domain=_DOMAIN)
def qlinear_unary(call: Inference) -> Result:
    """The data's type."""
    _scalars(call, range(1, 5))
    return (tensor(call, 0),)


@shape_rule("QLinearReduceMean", domain=_DOMAIN)
def qlinear_reduce_mean(call: Inference) -> Result:
    """The data's shape, with 1 for the axes that are reduced, or without them."""
    _scalars(call, range(1, 5))
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    axes = axes_in(call, call.attributes.get("axes") or range(len(shape)), len(shape))
    if call.attributes.get("keepdims", 1):
        return (TensorType(dtype_of(call, 0), tuple(1 if i in axes else dim for i, dim in enumerate(shape))),)
    return (TensorType(dtype_of(call, 0), tuple(dim for i, dim in enumerate(shape) if i not in axes)),)


@shape_rule("QLinearAveragePool", domain=_DOMAIN)
def qlinear_average_pool(call: Inference) -> Result:
    """As AveragePool, of data whose channels lie last where `channels_last` says so."""
    _scalars(call, range(1, 5))
    if not call.attributes.get("channels_last", 0):
        return pool(call)
    return channels_last(pool(channels_first(call, 0)))


@shape_rule("QLinearGlobalAveragePool", domain=_DOMAIN)
def qlinear_global_average_pool(call: Inference) -> Result:
    """As GlobalAveragePool, of data whose channels lie last where `channels_last` says so."""
    _scalars(call, range(1, 5))
    if not call.attributes.get("channels_last", 0):
        return global_pool(call)
    return channels_last(global_pool(channels_first(call, 0)))


@shape_rule("QLinearConcat", domain=_DOMAIN)
def qlinear_concat(call: Inference) -> Result:
    """As Concat of every third operand from the third on, in the element type of the output's zero point."""
    if len(call.types) < 5 or len(call.types) % 3 != 2:
        refuse(call, f"after the output's scale and zero point come triples, got {len(call.types) - 2} operands")
    _scalars(call, (slot for slot in range(len(call.types)) if slot % 3 != 2 or slot < 2))
    (made,) = concat(replace(call, types=call.types[2::3], values=(None,) * len(call.types[2::3]), outputs=1))
    return (TensorType(dtype_of(call, 1), made.shape if isinstance(made, TensorType) else None),)


@shape_rule("QLinearWhere", domain=_DOMAIN)
def qlinear_where(call: Inference) -> Result:
    """The broadcast of the condition, X and Y, in the element type of X."""
    _scalars(call, (2, 3, 5, 6, 7, 8))
    return (TensorType(dtype_of(call, 1), broadcast(call, [shape_of(call, slot) for slot in (0, 1, 4)])),)


@shape_rule("QLinearConv", domain=_DOMAIN)
def qlinear_conv_ms(call: Inference) -> Result:
    """As the standard operator, of data whose channels lie last where `channels_last` says so."""
    if not call.attributes.get("channels_last", 0):
        return qlinear_conv(call)
    return channels_last(qlinear_conv(channels_first(call, 0)))


@shape_rule("QGemm", domain=_DOMAIN)
def qgemm(call: Inference) -> Result:
    """As Gemm of the operands 0, 3 and 6; float32 where no scale of the result is given."""
    _scalars(call, (1, 2, 7, 8))
    weights = shape_of(call, 3)
    if weights is not None:
        with_rank(call, weights, 2, "B", 2)
        for slot, name in ((4, "b_scale"), (5, "b_zero_point")):
            given = shape_of(call, slot)
            if given is not None and not all(dim == 1 for dim in given):
                vector(call, slot, weights[0] if call.attributes.get("transB", 0) else weights[1], name)
    chosen = tuple(call.types[slot] if slot < len(call.types) else None for slot in (0, 3, 6))
    (made,) = gemm(replace(call, types=chosen, values=(None,) * 3, outputs=1))
    quantised = dtype_of(call, 8) if is_given(call, 8) else dtype_of(call, 0)
    return (
        TensorType(
            quantised if is_given(call, 7) else DType.FLOAT32, made.shape if isinstance(made, TensorType) else None
        ),
    )
