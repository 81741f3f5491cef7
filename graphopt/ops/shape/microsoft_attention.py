"""com.microsoft: attention, on [batch, length, heads · size]; caches are [batch, heads, length, size]."""

from __future__ import annotations

from graphopt.ir.dim import Dim, floor_divide
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.extent import larger
from graphopt.ops.shape.operand import (
    Result,
    dims_in,
    divisible,
    dtype_of,
    is_given,
    one_element,
    refuse,
    same_dim,
    same_shape,
    shape_of,
    spreads,
    tensor,
    unknown,
    vector,
    with_rank,
    within,
)
from graphopt.ops.table import Inference, shape_rule

_DOMAIN = "com.microsoft"


@shape_rule("Attention", domain=_DOMAIN)
def attention(call: Inference) -> Result:
    """[batch, length, width of V], and the keys and values with the past in front, stacked."""
    return _with_projection(call, bias=2, mask=3, past=4, added=5, dtype=dtype_of(call, 0))


@shape_rule("QAttention", domain=_DOMAIN)
def qattention(call: Inference) -> Result:
    """As Attention, of 8-bit data and weights, in the element type of the bias."""
    one_element(call, 3, "input_scale")
    one_element(call, 6, "input_zero_point")
    weights = shape_of(call, 1)
    for slot, name in ((4, "weight_scale"), (7, "weight_zero_point")):
        given = shape_of(call, slot)
        if weights and given is not None and not all(dim == 1 for dim in given):
            vector(call, slot, weights[-1], name)
    return _with_projection(call, bias=2, mask=5, past=8, added=None, dtype=dtype_of(call, 2))


def _with_projection(
    call: Inference, *, bias: int, mask: int, past: int, added: int | None, dtype: DType | None
) -> Result:
    data, weights, heads = shape_of(call, 0), shape_of(call, 1), int(call.attributes["num_heads"])
    if data is None or weights is None:
        return (TensorType(dtype), TensorType(dtype))[: call.outputs]
    batch, length, width = with_rank(call, data, 3, "input", 3)
    rows, columns = with_rank(call, weights, 2, "weights", 2)
    same_dim(call, width, rows, "the width of the data and the rows of weights")
    vector(call, bias, columns, "bias")
    _, k, v = _hidden_sizes(call, columns, heads)
    old = shape_of(call, past)
    keys: Dim | None = length
    if is_given(call, past):
        same_shape(call, past, (2, batch, heads, None, floor_divide(k, heads)), "past")
        keys = None if old is None else old[3] + length
    _check_mask(call, mask, batch, length, keys)
    if added is not None and keys is not None:
        _check_bias(call, added, (batch, heads, length, keys))
    present = TensorType(dtype)
    if keys is not None and k == v:
        present = TensorType(dtype, (2, batch, heads, keys, floor_divide(k, heads)))
    return (TensorType(dtype, (batch, length, v)), present)[: call.outputs]


def _hidden_sizes(call: Inference, columns: Dim, heads: int) -> tuple[Dim, Dim, Dim]:
    given = call.attributes.get("qkv_hidden_sizes")
    if given:
        if len(given) != 3 or (isinstance(columns, int) and sum(given) != columns) or given[0] != given[1]:
            refuse(call, f"qkv_hidden_sizes {list(given)} do not fit {columns} columns of weights")
        sizes: tuple[Dim, Dim, Dim] = given[0], given[1], given[2]
    else:
        divisible(call, columns, 3, "the columns of weights")
        third = floor_divide(columns, 3)
        sizes = third, third, third
    for size in sizes:
        divisible(call, size, heads, "the width of Q, K and V")
    return sizes


def _check_mask(call: Inference, slot: int, batch: Dim, queries: Dim, keys: Dim | None) -> None:
    """Lengths, lengths and beginnings, or 0 and 1 for each key, or for each query and key."""
    mask = shape_of(call, slot)
    if mask is None:
        return
    with_rank(call, mask, 1, "the mask", 3)
    if len(mask) == 1 and isinstance(mask[0], int) and isinstance(batch, int) and mask[0] not in (batch, 2 * batch):
        refuse(call, f"the mask has {mask[0]} numbers for a batch of {batch}")
    elif len(mask) > 1:
        same_shape(call, slot, (batch, keys) if len(mask) == 2 else (batch, queries, keys), "the mask")


def _check_bias(call: Inference, slot: int, scores: Shape) -> None:
    bias = shape_of(call, slot)
    if bias is not None:
        with_rank(call, bias, 4, "attention_bias", 4)
        spreads(call, slot, scores, "attention_bias")
        same_shape(call, slot, (None, None, *scores[2:]), "attention_bias")


@shape_rule("PackedAttention", domain=_DOMAIN)
def packed_attention(call: Inference) -> Result:
    """[tokens, width of V]: the tokens of all sequences after each other."""
    data, weights, dtype = shape_of(call, 0), shape_of(call, 1), dtype_of(call, 0)
    if data is None or weights is None:
        return (TensorType(dtype),)
    tokens, width = with_rank(call, data, 2, "input", 2)
    rows, columns = with_rank(call, weights, 2, "weights", 2)
    same_dim(call, width, rows, "the width of the data and the rows of weights")
    vector(call, 2, columns, "bias")
    offsets = shape_of(call, 3)
    vector(call, 4, None if not offsets else offsets[0] + 1, "cumulative_sequence_length")
    within(call, 4, 0, tokens, "cumulative_sequence_length")
    return (TensorType(dtype, (tokens, _hidden_sizes(call, columns, int(call.attributes["num_heads"]))[2])),)


@shape_rule("MultiHeadAttention", domain=_DOMAIN)
def multi_head_attention(call: Inference) -> Result:
    """[batch, length, width of V]; the keys and values with the past in front, by heads; the scores."""
    return _many_heads(call, bias=3, mask=4, added=5, past=6)


@shape_rule("DecoderMaskedMultiHeadAttention", domain=_DOMAIN)
def decoder_masked_multi_head_attention(call: Inference) -> Result:
    """As MultiHeadAttention, with its operands in another order."""
    return _many_heads(call, bias=10, mask=3, added=4, past=5)


def _many_heads(call: Inference, *, bias: int, mask: int, added: int, past: int) -> Result:
    dtype, heads = dtype_of(call, 0), int(call.attributes["num_heads"])
    split = _split(call, heads)
    if split is None:
        return (TensorType(dtype), TensorType(dtype), TensorType(dtype), TensorType(DType.FLOAT32))[: call.outputs]
    batch, queries, new, size, v_size = split
    vector(call, bias, (size * 2 + v_size) * heads, "bias")
    keys: Dim | None = new
    if is_given(call, past):
        old = shape_of(call, past)
        same_shape(call, past, (batch, heads, None, size), "past_key")
        same_shape(call, past + 1, (batch, heads, None if old is None else old[2], v_size), "past_value")
        keys = None if old is None else old[2] + new
    _check_mask(call, mask, batch, queries, keys)
    if keys is None:
        keys = unknown(call, 2, 1)
    else:
        _check_bias(call, added, (batch, heads, queries, keys))
    y = TensorType(dtype, (batch, queries, v_size * heads))
    present = [TensorType(dtype, (batch, heads, keys, width)) for width in (size, v_size)]
    return (y, *present, TensorType(DType.FLOAT32, (batch, heads, queries, keys)))[: call.outputs]


def _split(call: Inference, heads: int) -> tuple[Dim, Dim, Dim, Dim, Dim] | None:
    """Batch, queries, new keys, the size of a head, that of a head of V; None where a shape is not known."""
    query, key, value = (shape_of(call, slot) for slot in range(3))
    if query is None:
        return None
    if len(query) == 5:
        same_shape(call, 0, (None, None, heads, 3, None), "query")
        return query[0], query[1], query[1], query[4], query[4]
    batch, queries, width = with_rank(call, query, 3, "query", 5)
    divisible(call, width, heads, "the width of query")
    size = floor_divide(width, heads)
    if key is None:
        if not is_given(call, 1):
            refuse(call, "a query of three axes needs a key")
        return None
    same_dim(call, batch, key[0], "the batches of query and key")
    if len(key) == 5:
        same_shape(call, 1, (batch, None, heads, 2, size), "key")
        return batch, queries, key[1], size, size
    if value is None:
        if not is_given(call, 2):
            refuse(call, "a key of three axes needs a value")
        return None
    if len(key) == 4:
        same_shape(call, 1, (batch, heads, None, size), "key")
        same_shape(call, 2, (batch, heads, key[2], None), "value")
        return batch, queries, key[2], size, value[3]
    same_shape(call, 1, (batch, None, width), "key")
    same_shape(call, 2, (batch, key[1], None), "value")
    divisible(call, value[2], heads, "the width of value")
    return batch, queries, key[1], size, floor_divide(value[2], heads)


@shape_rule("RotaryEmbedding", domain=_DOMAIN)
def rotary_embedding_ms(call: Inference) -> Result:
    """The data's type; position_ids are one number to count from, or one for each place; caches [positions, half]."""
    data, cache, heads = shape_of(call, 0), shape_of(call, 2), int(call.attributes.get("num_heads", 0))
    if data is None or cache is None:
        return (tensor(call, 0),)
    with_rank(call, data, 3, "input", 4)
    positions, half = with_rank(call, cache, 2, "cos_cache", 2)
    same_shape(call, 3, cache, "sin_cache")
    batch, length = (data[0], data[2]) if len(data) == 4 else (data[0], data[1])
    size: Dim = data[3] if len(data) == 4 else half * 2
    if len(data) == 3:
        count = heads or (size if isinstance(size, int) else 1)
        divisible(call, data[2], count, "the width of input")
        size = floor_divide(data[2], heads) if heads else size
    if isinstance(half, int) and isinstance(size, int) and 2 * half > size:
        refuse(call, f"the caches turn {2 * half} elements, but a head has {size}")
    given = shape_of(call, 1)
    if given is not None and not all(dim == 1 for dim in given):
        same_shape(call, 1, (1,) if len(given) == 1 else (batch, length), "position_ids")
    within(call, 1, 0, positions - 1, "position_ids")
    return (tensor(call, 0),)


@shape_rule("GroupQueryAttention", domain=_DOMAIN)
def group_query_attention(call: Inference) -> Result:
    """[batch, length, heads · size]; the caches, as long as they were or as all elements take; the scores."""
    attributes, dtype = call.attributes, dtype_of(call, 0)
    heads, groups = int(attributes["num_heads"]), int(attributes["kv_num_heads"])
    query, past = shape_of(call, 0), shape_of(call, 3)
    divisible(call, heads, groups, "num_heads")
    if query is None:
        return (TensorType(dtype),) * call.outputs
    batch, length, width = with_rank(call, query, 3, "query", 3)
    packed = not is_given(call, 1)
    count = heads + 2 * groups if packed else heads
    divisible(call, width, count, "the width of query")
    size = floor_divide(width, count)
    for slot, name in ((1, "key"), (2, "value")):
        same_shape(call, slot, (batch, length, size * groups), name)
    vector(call, 5, batch, "seqlens_k")
    one_element(call, 6, "total_sequence_length")
    same_shape(call, 3, (batch, groups, None, size), "past_key")
    same_shape(call, 4, (batch, groups, None if past is None else past[2], size), "past_value")
    total = dims_in(call, 6)
    room: Dim = unknown(call, 2, 1)
    if total is not None and len(total) == 1 and (past is not None or not is_given(call, 3)):
        room = larger(0 if past is None else past[2], total[0])
        within(call, 5, 0, total[0] - 1, "seqlens_k")
    _check_rotary(call, size, batch, length)
    cache = TensorType(dtype, (batch, groups, room, size))
    y = TensorType(dtype, (batch, length, size * heads))
    return (y, cache, cache, TensorType(dtype, (batch, heads, length, room)))[: call.outputs]


def _check_rotary(call: Inference, size: Dim, batch: Dim, length: Dim) -> None:
    if call.attributes.get("do_rotary", 0):
        if not (is_given(call, 7) and is_given(call, 8)):
            refuse(call, "do_rotary needs cos_cache and sin_cache")
        cache = shape_of(call, 7)
        if cache is not None:
            half = with_rank(call, cache, 2, "cos_cache", 2)[1]
            same_shape(call, 8, cache, "sin_cache")
            if isinstance(half, int) and isinstance(size, int) and 2 * half > size:
                refuse(call, f"the caches turn {2 * half} elements, but a head has {size}")
    same_shape(call, 9, (batch, length), "position_ids")
    vector(call, 11, int(call.attributes["num_heads"]), "head_sink")
    vector(call, 14, size, "q_norm_weight")
    vector(call, 15, size, "k_norm_weight")
    vector(call, 16, batch, "query_seqlens")
