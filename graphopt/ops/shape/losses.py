"""Losses: one number for each target, or one for all."""

from __future__ import annotations

import numpy as np

from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import (
    Result,
    dtype_of,
    elements,
    same_shape,
    shape_of,
    vector,
    with_rank,
    within_bounds,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(call: Inference) -> Result:
    """The targets' shape, or a scalar where it is reduced; then, for the second, the logarithms of all classes."""
    data, dtype = shape_of(call, 0), dtype_of(call, 0)
    apart = call.attributes.get("reduction", "mean") == "none"
    if data is None:
        return (TensorType(dtype, shape_of(call, 1) if apart else ()), TensorType(dtype))[: call.outputs]
    with_rank(call, data, 2, "the data")
    targets = (data[0], *data[2:])
    same_shape(call, 1, targets, "the targets")
    vector(call, 2, data[1], "the weights")
    known, ignored = elements(call, 1), call.attributes.get("ignore_index")
    if known is not None:
        kept = known if ignored is None else known[np.not_equal(known, ignored)]
        within_bounds(call, kept, 0, data[1] - 1, "a target")
    return (TensorType(dtype, targets if apart else ()), TensorType(dtype, data))[: call.outputs]
