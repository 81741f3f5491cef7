"""com.microsoft: operators on arrays that came before the standard's, or stand beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.shape.indexing import gather_nd
from graphopt.ops.shape.movement import pad, trilu
from graphopt.ops.shape.operand import (
    Result,
    dtype_of,
    elements,
    ints_in,
    is_given,
    one_element,
    refuse,
    same_dim,
    same_shape,
    shape_of,
    tensor,
    unknown,
    unknown_shape,
    with_rank,
    within,
)
from graphopt.ops.shape.product import product_shape
from graphopt.ops.shape.sizes import range_rule
from graphopt.ops.shape.window import grid_sample
from graphopt.ops.table import Inference, shape_rule

_DOMAIN = "com.microsoft"


@shape_rule("GatherND", domain=_DOMAIN)
def gather_nd_ms(call: Inference) -> Result:
    """As the standard operator of opset 12."""
    return gather_nd(replace(call, version=12))


@shape_rule("Trilu", domain=_DOMAIN)
def trilu_ms(call: Inference) -> Result:
    """As the standard operator."""
    return trilu(call)


@shape_rule("GridSample", domain=_DOMAIN)
def grid_sample_ms(call: Inference) -> Result:
    """As the standard operator of opset 16."""
    return grid_sample(replace(call, version=16))


@shape_rule("Range", domain=_DOMAIN)
def range_ms(call: Inference) -> Result:
    """As the standard operator; the step may be left out."""
    if is_given(call, 2):
        return range_rule(call)
    step = np.ones((), np.int64)
    types = (*call.types[:2], TensorType(dtype_of(call, 0), ()))
    return range_rule(replace(call, types=types, values=(*(elements(call, i) for i in range(2)), step)))


@shape_rule("Pad", domain=_DOMAIN)
def pad_ms(call: Inference) -> Result:
    """As the standard operator of opset 13; pads may be [1, n]."""
    pads = shape_of(call, 1)
    if pads is None or len(pads) < 2:
        return pad(replace(call, version=13))
    with_rank(call, pads, 2, "pads", 2)
    same_shape(call, 1, (1, None), "pads")
    types, values = list(call.types), list(call.values)
    types[1] = TensorType(dtype_of(call, 1), pads[1:])
    known = call.values[1]
    values[1] = None if known is None else known.reshape(-1)
    return pad(replace(call, version=13, types=tuple(types), values=tuple(values)))


@shape_rule("ExpandDims", domain=_DOMAIN)
def expand_dims(call: Inference) -> Result:
    """The data's shape, with 1 at the axis."""
    one_element(call, 1, "axis")
    shape, axis = shape_of(call, 0), ints_in(call, 1)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    if axis is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, len(shape) + 1)),)
    within(call, 1, -len(shape) - 1, len(shape), "axis")
    place = axis[0] + (len(shape) + 1 if axis[0] < 0 else 0)
    return (TensorType(dtype_of(call, 0), (*shape[:place], 1, *shape[place:])),)


@shape_rule("Unique", domain=_DOMAIN)
def unique_ms(call: Inference) -> Result:
    """The values as they come; where each element stands among them; how often each comes."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 1, "x", 1)
    count = unknown(call, 0)
    values, counts = TensorType(dtype_of(call, 0), (count,)), TensorType(DType.INT64, (count,))
    return (values, TensorType(DType.INT64, shape), counts)[: call.outputs]


@shape_rule("Inverse", domain=_DOMAIN)
def inverse(call: Inference) -> Result:
    """The data's type: square matrices."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 2, "X")
        same_dim(call, shape[-2], shape[-1], "rows and columns")
    return (tensor(call, 0),)


@shape_rule("CDist", domain=_DOMAIN)
def cdist(call: Inference) -> Result:
    """A row for each row of A, a column for each row of B."""
    a, b = shape_of(call, 0), shape_of(call, 1)
    if a is None or b is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 2)),)
    with_rank(call, a, 2, "A", 2)
    with_rank(call, b, 2, "B", 2)
    same_dim(call, a[1], b[1], "the columns of A and B")
    return (TensorType(dtype_of(call, 0), (a[0], b[0])),)


@shape_rule("MatMulInteger16", domain=_DOMAIN)
def matmul_integer16(call: Inference) -> Result:
    """As MatMul, in uint32 for two unsigned operands, else in int32."""
    unsigned = dtype_of(call, 0) is dtype_of(call, 1) is DType.UINT16
    shape = product_shape(call, shape_of(call, 0), shape_of(call, 1))
    return (TensorType(DType.UINT32 if unsigned else DType.INT32, shape),)


@shape_rule("NGramRepeatBlock", domain=_DOMAIN)
def ngram_repeat_block(call: Inference) -> Result:
    """The scores' type: a row for each row of ids, each of which names a column."""
    ids, scores = shape_of(call, 0), shape_of(call, 1)
    if call.attributes["ngram_size"] < 1:
        refuse(call, f"ngram_size must be positive, got {call.attributes['ngram_size']}")
    if ids is not None and scores is not None:
        with_rank(call, ids, 2, "input_ids", 2)
        with_rank(call, scores, 2, "scores", 2)
        same_dim(call, ids[0], scores[0], "the rows of input_ids and scores")
        within(call, 0, 0, scores[1] - 1, "input_ids")
    return (tensor(call, 1),)


@shape_rule("Tokenizer", domain=_DOMAIN)
def tokenizer(call: Inference) -> Result:
    """One more axis, as long as the longest list of tokens; where there are no strings, none."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(DType.STRING),)
    with_rank(call, shape, 1, "X", 2)
    one = sum(bool(call.attributes.get(name)) for name in ("separators", "tokenexp"))
    if one != 1:
        refuse(call, "needs either separators or tokenexp")
    if all(isinstance(dim, int) and dim for dim in shape):
        return (TensorType(DType.STRING, (*shape, unknown(call, len(shape)))),)
    return (TensorType(DType.STRING),)  # without strings, there is no axis for tokens
