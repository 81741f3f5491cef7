"""Attention, on [batch, heads, length, width] or on [batch, length, heads * width]."""

from __future__ import annotations

from graphopt.ir.dim import Dim, floor_divide
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import (
    Result,
    divisible,
    dtype_of,
    refuse,
    same_dim,
    same_shape,
    shape_of,
    spreads,
    vector,
    with_rank,
    within,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("Attention")
def attention(call: Inference) -> Result:
    """Y, then the keys and values with the past in front, then the products of queries and keys."""
    query, key, value = (shape_of(call, slot) for slot in range(3))
    dtypes = [dtype_of(call, slot) for slot in (0, 1, 2, 0)]
    if query is None or key is None or value is None:
        return tuple([TensorType(dtype) for dtype in dtypes])[: call.outputs]
    with_rank(call, query, 3, "Q", 4)
    q, k, v = (_heads(call, *pair) for pair in ((query, "q_num_heads"), (key, "kv_num_heads"), (value, "kv_num_heads")))
    same_dim(call, q[0], k[0], "the batches of Q and K")
    same_dim(call, q[0], v[0], "the batches of Q and V")
    same_dim(call, k[1], v[1], "the heads of K and V")
    same_dim(call, q[3], k[3], "the head sizes of Q and K")
    same_dim(call, k[2], v[2], "the lengths of K and V")
    if isinstance(k[1], int):
        divisible(call, q[1], k[1], "the heads of Q")
    past = shape_of(call, 4)
    same_shape(call, 4, (k[0], k[1], None, k[3]), "past_key")
    same_shape(call, 5, (v[0], v[1], None if past is None else past[2], v[3]), "past_value")
    length: Dim | None = k[2]
    if len(call.types) > 4 and call.types[4] is not None:
        length = None if past is None else past[2] + k[2]
    if length is not None:
        _check_mask(call, q[0], q[1], q[2], length)
    y = (q[0], q[1], q[2], v[3]) if len(query) == 4 else (q[0], q[2], q[1] * v[3])
    if length is None:
        return (TensorType(dtypes[0], y), *(TensorType(dtype) for dtype in dtypes[1 : call.outputs]))
    shapes: list[Shape] = [y, (k[0], k[1], length, k[3]), (v[0], v[1], length, v[3]), (q[0], q[1], q[2], length)]
    return tuple([TensorType(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)])[: call.outputs]


def _check_mask(call: Inference, batch: Dim, heads: Dim, queries: Dim, keys: Dim) -> None:
    """The mask broadcasts to the scores; its last axis may be shorter since opset 24, and what it lacks is masked."""
    mask = shape_of(call, 3)
    if mask is not None:
        with_rank(call, mask, 2 if call.version < 24 else 1, "attn_mask", 4)
        last = mask[-1]
        shorter = call.version >= 24 and isinstance(last, int) and isinstance(keys, int) and last <= keys
        spreads(call, 3, (batch, heads, queries, last if shorter else keys), "attn_mask")
    vector(call, 6, batch, "nonpad_kv_seqlen")
    within(call, 6, 0, keys, "nonpad_kv_seqlen")


@shape_rule("RotaryEmbedding")
def rotary_embedding(call: Inference) -> Result:
    """The data's type; caches are [positions, half], or [batch, length, half] where there are no position_ids."""
    data, attributes = shape_of(call, 0), call.attributes
    if data is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, data, 3, "X", 4)
    if len(data) == 4:
        batch, length, size = data[0], data[2], data[3]
    else:
        heads = int(attributes.get("num_heads", 0))
        divisible(call, data[2], heads, "the last dimension of X")
        batch, length, size = data[0], data[1], floor_divide(data[2], heads)
    turned: Dim = int(attributes.get("rotary_embedding_dim", 0)) or size
    divisible(call, turned, 2, "what is rotated")
    if isinstance(turned, int) and isinstance(size, int) and turned > size:
        refuse(call, f"rotary_embedding_dim is {turned}, but a head has {size} elements")
    half = floor_divide(turned, 2)
    cache = shape_of(call, 1)
    if len(call.types) > 3 and call.types[3] is not None:
        positions = None if cache is None or not cache else cache[0]
        for slot, name in ((1, "cos_cache"), (2, "sin_cache")):
            same_shape(call, slot, (positions, half), name)
        same_shape(call, 3, (batch, length), "position_ids")
        if positions is not None:
            within(call, 3, 0, positions - 1, "position_ids")
    else:
        for slot, name in ((1, "cos_cache"), (2, "sin_cache")):
            same_shape(call, slot, (batch, length, half), name)
    return (TensorType(dtype_of(call, 0), data),)


def _heads(call: Inference, shape: Shape, attribute: str) -> tuple[Dim, Dim, Dim, Dim]:
    if len(shape) == 4:
        batch, heads, length, width = shape
        return batch, heads, length, width
    batch, length, width = with_rank(call, shape, 3, "Q, K and V", 4)
    count = call.attributes.get(attribute, 0)
    if count < 1:
        refuse(call, f"operands of three dimensions need the attribute {attribute}")
    divisible(call, width, count, "the last dimension of Q, K and V")
    return batch, count, length, floor_divide(width, count)
