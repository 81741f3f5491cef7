"""com.microsoft: normalisations beside the standard's."""

from __future__ import annotations

from graphopt.ir.dim import Dim
from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.operand import (
    Result,
    axis_in,
    divisible,
    dtype_of,
    one_element,
    refuse,
    same_shape,
    shape_of,
    spreads,
    tensor,
    vector,
    with_rank,
    within,
)
from graphopt.ops.table import Inference, shape_rule

_DOMAIN = "com.microsoft"


@shape_rule("SimplifiedLayerNormalization", domain=_DOMAIN)
@shape_rule("SimplifiedLayerNormalization")
def simplified_layer_normalization(call: Inference) -> Result:
    """The data's shape in the scale's element type; the inverse deviation with 1 for the normalised axes."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(dtype_of(call, 1)), TensorType(DType.FLOAT32))[: call.outputs]
    axis = axis_in(call, call.attributes.get("axis", -1), len(shape))
    spreads(call, 1, shape, "scale")
    statistics = TensorType(DType.FLOAT32, (*shape[:axis], *(1,) * (len(shape) - axis)))
    return (TensorType(dtype_of(call, 1), shape), statistics)[: call.outputs]


@shape_rule("GroupNorm", "SkipGroupNorm", domain=_DOMAIN)
def group_norm(call: Inference) -> Result:
    """The data's type; gamma and beta have one number for each channel."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 3, "X")
        channels = shape[-1] if call.attributes.get("channels_last", 1) else shape[1]
        divisible(call, channels, int(call.attributes["groups"]), "the channels")
        vector(call, 1, channels, "gamma")
        vector(call, 2, channels, "beta")
        if call.op == "SkipGroupNorm":
            if not call.attributes.get("channels_last", 1):
                refuse(call, "skip and bias are added where the channels lie last (channels_last)")
            skip = shape_of(call, 3)
            if skip is not None and len(skip) == 2:
                same_shape(call, 3, (shape[0], shape[-1]), "skip")
            else:
                spreads(call, 3, shape, "skip")
            vector(call, 4, shape[-1], "bias")
    return (tensor(call, 0),) * call.outputs


@shape_rule("EmbedLayerNormalization", domain=_DOMAIN)
def embed_layer_normalization(call: Inference) -> Result:
    """[batch, length, width]; how many words of each row the mask lets through; the sum before it is normalised."""
    return _embedded(call, dtype_of(call, 2))


@shape_rule("QEmbedLayerNormalization", domain=_DOMAIN)
def quantised_embed_layer_normalization(call: Inference) -> Result:
    """As EmbedLayerNormalization, in the element type of the scales."""
    for slot in range(8, 18):
        one_element(call, slot, f"the scale or zero point in input {slot}")
    return _embedded(call, dtype_of(call, 8))[: call.outputs]


def _embedded(call: Inference, dtype: DType | None) -> Result:
    words, table = shape_of(call, 0), shape_of(call, 2)
    if words is None or table is None:
        return (TensorType(dtype), TensorType(DType.INT32), TensorType(dtype))[: call.outputs]
    batch, length = with_rank(call, words, 2, "input_ids", 2)
    count, width = with_rank(call, table, 2, "word_embedding", 2)
    within(call, 0, 0, count - 1, "input_ids")
    same_shape(call, 1, (batch, length), "segment_ids")
    same_shape(call, 3, (None, width), "position_embedding")
    same_shape(call, 4, (None, width), "segment_embedding")
    vector(call, 5, width, "gamma")
    vector(call, 6, width, "beta")
    same_shape(call, 7, (batch, length), "mask")
    _positions(call, batch, length)
    segments = shape_of(call, 4)
    if segments:
        within(call, 1, 0, segments[0] - 1, "segment_ids")
    whole = TensorType(dtype, (batch, length, width))
    return (whole, TensorType(DType.INT32, (batch,)), whole)[: call.outputs]


def _positions(call: Inference, batch: Dim, length: Dim) -> None:
    table = shape_of(call, 3)
    given = shape_of(call, 8) if call.op == "EmbedLayerNormalization" else None
    if given is not None:
        with_rank(call, given, 2, "position_ids", 2)
        spreads(call, 8, (batch, length), "position_ids")
        if table:
            within(call, 8, 0, table[0] - 1, "position_ids")
    elif table and isinstance(table[0], int) and isinstance(length, int) and length > table[0]:
        refuse(call, f"position_embedding has {table[0]} rows for {length} positions")
