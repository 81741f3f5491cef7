"""Normalisations that have statistics among their outputs."""

from __future__ import annotations

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import Result, axis_in, dtype_of, like, same_dim, shape_of, tensor, with_rank
from graphopt.ops.table import Inference, shape_rule

shape_rule("GroupNormalization", "RMSNormalization")(like())


@shape_rule("BatchNormalization")
def batch_normalization(call: Inference) -> Result:
    """The data's type; in training also the new mean and variance, one for each channel."""
    data = tensor(call, 0)
    if data is not None and data.shape is not None and len(data.shape) > 1:
        for slot in range(1, 5):
            shape = shape_of(call, slot)
            if shape is not None:
                with_rank(call, shape, 1, "scale, bias, mean and variance", 1)
                same_dim(call, data.shape[1], shape[0], "the channels")
    return (data, *(tensor(call, 3 + i % 2) for i in range(call.outputs - 1)))


@shape_rule("LayerNormalization")
def layer_normalization(call: Inference) -> Result:
    """The data's type; mean and inverse deviation with 1 for the normalised axes."""
    data = tensor(call, 0)
    if data is None or data.shape is None:
        return (TensorType(dtype_of(call, 0)),) * call.outputs
    axis = axis_in(call, call.attributes.get("axis", -1), len(data.shape))
    stash = DType(call.attributes.get("stash_type", 1))
    statistics = TensorType(stash, (*data.shape[:axis], *(1,) * (len(data.shape) - axis)))
    return (data, statistics, statistics)[: call.outputs]


@shape_rule("SkipLayerNormalization", "SimplifiedLayerNormalization", domain="com.microsoft")
def skip_layer_normalization(call: Inference) -> Result:
    """The data's type; what the other outputs hold is left to be declared."""
    return (tensor(call, 0), *(None,) * (call.outputs - 1))
