"""Normalisations that have statistics among their outputs."""

from __future__ import annotations

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import (
    Result,
    axes_in,
    axis_in,
    divisible,
    dtype_of,
    refuse,
    same_shape,
    shape_of,
    spreads,
    tensor,
    vector,
    with_rank,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("InstanceNormalization")
def instance_normalization(call: Inference) -> Result:
    """The data's type; scale and bias have one number for each channel."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 3, "the data")
        vector(call, 1, shape[1], "scale")
        vector(call, 2, shape[1], "B")
    return (tensor(call, 0),)


@shape_rule("GroupNormalization")
def group_normalization(call: Inference) -> Result:
    """The data's type; scale and bias have one number for each channel (before opset 21: or each group)."""
    shape, groups = shape_of(call, 0), call.attributes["num_groups"]
    if shape is not None:
        with_rank(call, shape, 2, "the data")
        divisible(call, shape[1], groups, "the channels")
        scale = shape_of(call, 1)
        per_group = call.version < 21 and scale == (groups,)
        for slot, name in ((1, "scale"), (2, "bias")):
            vector(call, slot, groups if per_group else shape[1], name)
    return (tensor(call, 0),)


@shape_rule("RMSNormalization")
def rms_normalization(call: Inference) -> Result:
    """The data's type; the scale broadcasts to it."""
    shape = shape_of(call, 0)
    if shape is not None:
        axis_in(call, call.attributes.get("axis", -1), len(shape))
        spreads(call, 1, shape, "scale")
    return (tensor(call, 0),)


@shape_rule("LRN")
def local_response_normalization(call: Inference) -> Result:
    """The data's type."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 2, "the data")
    if call.attributes["size"] < 1:
        refuse(call, f"size must be positive, got {call.attributes['size']}")
    return (tensor(call, 0),)


@shape_rule("MeanVarianceNormalization")
def mean_variance_normalization(call: Inference) -> Result:
    """The data's type."""
    shape = shape_of(call, 0)
    if shape is not None:
        axes_in(call, call.attributes.get("axes", (0, 2, 3)), len(shape))
    return (tensor(call, 0),)


@shape_rule("BatchNormalization")
def batch_normalization(call: Inference) -> Result:
    """The data's type; in training also the new mean and variance, one for each channel."""
    data = tensor(call, 0)
    if data is not None and data.shape is not None and len(data.shape) > 1:
        for slot in range(1, 5):
            vector(call, slot, data.shape[1], ("scale", "B", "input_mean", "input_var")[slot - 1])
    return (data, *(tensor(call, 3 + i % 2) for i in range(call.outputs - 1)))


@shape_rule("LayerNormalization")
def layer_normalization(call: Inference) -> Result:
    """The data's type; mean and inverse deviation with 1 for the normalised axes."""
    data = tensor(call, 0)
    if data is None or data.shape is None:
        return (TensorType(dtype_of(call, 0)),) * call.outputs
    axis = axis_in(call, call.attributes.get("axis", -1), len(data.shape))
    spreads(call, 1, data.shape, "Scale")
    spreads(call, 2, data.shape, "B")
    stash = DType(call.attributes.get("stash_type", 1))
    statistics = TensorType(stash, (*data.shape[:axis], *(1,) * (len(data.shape) - axis)))
    return (data, statistics, statistics)[: call.outputs]


@shape_rule("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain="com.microsoft")
def skip_layer_normalization(call: Inference) -> Result:
    """The data's type; mean and inverse deviation of each row; the sum that was normalised."""
    data, shape = tensor(call, 0), shape_of(call, 0)
    if shape is None:
        return (data, *(None,) * (call.outputs - 1))
    with_rank(call, shape, 2, "input", 3)
    skip = shape_of(call, 1)
    if skip is not None and len(skip) == len(shape) - 1:
        same_shape(call, 1, shape[1:], "skip")
    else:
        spreads(call, 1, shape, "skip")
    names = ("gamma", "beta", "bias") if call.op == "SkipLayerNormalization" else ("gamma", "bias")
    for slot, name in enumerate(names, 2):
        vector(call, slot, shape[-1], name)
    row = TensorType(DType.FLOAT32, (*shape[:-1], 1))
    return (data, row, row, data)[: call.outputs]
