"""com.microsoft: attention as ONNX Runtime's fusions and exporters write it, in float64 and rounded once.

Inside, queries, keys and values are (batch, heads, length, head size).  A mask adds `mask_filter_value`, −10000 unless
the model says otherwise, to the scores of what must not be seen; a key that comes later is never seen.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.attention import rotated, softmax
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning

_DOMAIN = "com.microsoft"
_FILTER = -10000.0


def _heads(x: np.ndarray, heads: int) -> np.ndarray:
    """(batch, length, heads · size) → (batch, heads, length, size)."""
    return np.swapaxes(x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads), 1, 2)


def _joined(y: np.ndarray) -> np.ndarray:
    """The inverse of `_heads`."""
    return np.swapaxes(y, 1, 2).reshape(y.shape[0], y.shape[2], y.shape[1] * y.shape[3])


def _scores(call: Call, q: np.ndarray, k: np.ndarray) -> np.ndarray:
    """q·kᵀ, scaled: the attribute's factor, or 1/√(head size)."""
    factor = float(call.attributes.get("scale", 0.0)) or 1.0 / math.sqrt(q.shape[-1])
    return np.matmul(q, np.swapaxes(k, -1, -2)) * factor


def _later(queries: int, keys: int) -> np.ndarray:
    """−∞ where a key comes after its query; the last query and the last key are at one place."""
    at = np.arange(queries)[:, None] + (keys - queries)
    return np.where(np.arange(keys)[None, :] > at, -np.inf, 0.0)


def _mask(call: Call, mask: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """What the mask and `unidirectional` add to scores of that shape."""
    batch, _, queries, keys = shape
    added = np.zeros((1, 1, 1, 1))
    if mask is not None:
        low = float(call.attributes.get("mask_filter_value", _FILTER))
        added = np.where(_seen(mask, batch, keys), 0.0, low)
    if call.attributes.get("unidirectional", 0):
        added = added + _later(queries, keys)
    return added


def _seen(mask: np.ndarray, batch: int, keys: int) -> np.ndarray:
    """Whether each key is seen, from a mask of 0 and 1, from lengths, or from lengths and beginnings: for 4 axes."""
    if mask.ndim == 1:
        at = np.arange(keys)[None, :]
        seen = at < mask[:batch, None]
        if mask.size == 2 * batch:
            seen = seen & (at >= mask[batch:, None])
        return seen[:, None, None, :]
    seen = mask > 0
    if mask.ndim == 4:
        raise ModelError("a mask of four axes is not known here")
    return seen[:, None, None, :] if mask.ndim == 2 else seen[:, None]


def _attended(call: Call, q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: Any, bias: Any) -> np.ndarray:
    scores = _scores(call, q, k)
    scores = scores + _mask(call, mask, scores.shape)
    if bias is not None:
        scores = scores + widened(bias)
    return np.matmul(softmax(scores), v)


def _refuse_sharing(call: Call, *slots: int) -> None:
    shares = call.attributes.get("past_present_share_buffer", 0)
    if shares or any(call.input(slot) is not None for slot in slots):
        raise ModelError("a cache that past and present share, as beam search has it, is not known here")


# ---- with the projection inside ----------------------------------------------------------------------------


@meaning("Attention", domain=_DOMAIN)
def _attention(call: Call) -> tuple[Any, ...]:
    x, weights, bias = call.inputs[0], call.inputs[1], call.input(2)
    _refuse_sharing(call, 6)
    if call.attributes.get("do_rotary", 0):
        raise ModelError("Attention that rotates (do_rotary) is not known here")
    projected = np.matmul(widened(x), widened(weights)) + (0.0 if bias is None else widened(bias))
    return _self_attention(call, projected, call.input(3), call.input(4), call.input(5), x.dtype)


@meaning("QAttention", domain=_DOMAIN)
def _qattention(call: Call) -> tuple[Any, ...]:
    x, weights, bias, x_scale, w_scale = call.inputs[:5]
    _refuse_sharing(call)
    if call.attributes.get("do_rotary", 0):
        raise ModelError("QAttention that rotates (do_rotary) is not known here")
    x_zero, w_zero = (0.0 if v is None else np.asarray(v).astype(np.float64) for v in (call.input(6), call.input(7)))
    total = np.matmul(x.astype(np.float64) - x_zero, weights.astype(np.float64) - w_zero)  # exact: 8-bit products
    projected = total * (widened(x_scale) * widened(w_scale)) + widened(bias)
    return _self_attention(call, projected, call.input(5), call.input(8), None, bias.dtype)


def _self_attention(
    call: Call, projected: np.ndarray, mask: Any, past: Any, bias: Any, dtype: np.dtype
) -> tuple[Any, ...]:
    heads = int(call.attributes["num_heads"])
    sizes = call.attributes.get("qkv_hidden_sizes") or (projected.shape[2] // 3,) * 3
    q, k, v = (_heads(part, heads) for part in np.split(projected, np.cumsum(sizes)[:2].tolist(), axis=2))
    if past is not None:
        k, v = (np.concatenate([widened(old), new], axis=2) for old, new in zip(past, (k, v), strict=True))
    y = _attended(call, q, k, v, mask, bias)
    present = rounded(np.stack([k, v]), dtype) if k.shape == v.shape else None
    return (rounded(_joined(y), dtype), present)


@meaning("PackedAttention", domain=_DOMAIN)
def _packed_attention(call: Call) -> tuple[np.ndarray]:
    x, weights, bias, _, ends, added = *call.inputs[:5], call.input(5)
    projected = np.matmul(widened(x), widened(weights)) + widened(bias)
    heads = int(call.attributes["num_heads"])
    sizes = call.attributes.get("qkv_hidden_sizes") or (projected.shape[1] // 3,) * 3
    parts = np.split(projected, np.cumsum(sizes)[:2].tolist(), axis=1)
    y = np.zeros(parts[2].shape)
    for number, (start, end) in enumerate(pairwise(ends.tolist())):
        q, k, v = (_heads(part[None, start:end], heads) for part in parts)
        row = None if added is None else added[number if len(added) > 1 else 0][None, :, : end - start, : end - start]
        y[start:end] = _joined(_attended(call, q, k, v, None, row))[0]
    return (rounded(y, x.dtype),)


# ---- on queries, keys and values ---------------------------------------------------------------------------


@meaning("MultiHeadAttention", domain=_DOMAIN)
def _multi_head(call: Call) -> tuple[Any, ...]:
    _refuse_sharing(call, 8, 9)
    bias, mask, added, past_k, past_v = (call.input(slot) for slot in range(3, 8))
    return _many_heads(call, bias, mask, added, past_k, past_v)


@meaning("DecoderMaskedMultiHeadAttention", domain=_DOMAIN)
def _decoder(call: Call) -> tuple[Any, ...]:
    _refuse_sharing(call, 8, 9)
    mask, added, past_k, past_v = (call.input(slot) for slot in range(3, 7))
    return _many_heads(call, call.input(10), mask, added, past_k, past_v)


def _many_heads(call: Call, bias: Any, mask: Any, added: Any, past_k: Any, past_v: Any) -> tuple[Any, ...]:
    dtype = call.inputs[0].dtype
    q, k, v = _queries_keys_values(call, bias)
    if past_k is not None:
        k, v = np.concatenate([widened(past_k), k], axis=2), np.concatenate([widened(past_v), v], axis=2)
    scores = _scores(call, q, k)
    biased = scores + _mask(call, mask, scores.shape) + (0.0 if added is None else widened(added))
    y = np.matmul(softmax(biased), v)
    return (rounded(_joined(y), dtype), rounded(k, dtype), rounded(v, dtype), rounded(biased, np.dtype(np.float32)))


def _queries_keys_values(call: Call, bias: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each by its heads, with its bias; from three tensors, one packed tensor, or with keys and values by heads."""
    heads = int(call.attributes["num_heads"])
    query, key, value = (call.input(slot) for slot in range(3))
    if query.ndim == 5:  # (batch, length, heads, 3, size)
        parts = [np.swapaxes(widened(query[:, :, :, i]), 1, 2) for i in range(3)]
    elif key is not None and key.ndim == 5:  # (batch, length, heads, 2, size)
        parts = [_heads(widened(query), heads), *(np.swapaxes(widened(key[:, :, :, i]), 1, 2) for i in range(2))]
    elif key is not None and key.ndim == 4:  # by heads already, and with their bias
        parts = [_heads(widened(query), heads), widened(key), widened(value)]
        if bias is not None:
            parts[0] = parts[0] + _head_bias(widened(bias)[: query.shape[2]], heads)
        return parts[0], parts[1], parts[2]
    else:
        parts = [_heads(widened(x), heads) for x in call.inputs[:3]]
    if bias is not None:
        ends = np.cumsum([part.shape[1] * part.shape[3] for part in parts])[:2].tolist()
        parts = [p + _head_bias(b, heads) for p, b in zip(parts, np.split(widened(bias), ends), strict=True)]
    return parts[0], parts[1], parts[2]


def _head_bias(bias: np.ndarray, heads: int) -> np.ndarray:
    return bias.reshape(1, heads, 1, -1)


# ---- rotary embedding, and groups of queries ---------------------------------------------------------------


@meaning("RotaryEmbedding", domain=_DOMAIN)
def _rotary(call: Call) -> tuple[np.ndarray]:
    x, positions, cos, sin = call.inputs
    heads = int(call.attributes.get("num_heads", 0))
    if x.ndim == 4:
        wide = widened(x)
    else:
        size = x.shape[2] // heads if heads else 2 * cos.shape[1]
        wide = _heads(widened(x), x.shape[2] // size)
    places = positions.reshape(-1, 1) + np.arange(wide.shape[2]) if positions.size == 1 else positions
    y = _turned(wide, cos, sin, places, bool(call.attributes.get("interleaved", 0)))
    return (rounded(y if x.ndim == 4 else _joined(y), x.dtype),)


def _turned(x: np.ndarray, cos: np.ndarray, sin: np.ndarray, places: np.ndarray, interleaved: bool) -> np.ndarray:
    """The first elements of each head, as many as the caches have angles for, turned by those of their place."""
    size = 2 * cos.shape[1]
    c, s = (np.broadcast_to(widened(v)[places][:, None], (len(x), 1, *x.shape[2:3], size // 2)) for v in (cos, sin))
    return np.concatenate([rotated(x[..., :size], c, s, interleaved), x[..., size:]], axis=-1)


@meaning("GroupQueryAttention", domain=_DOMAIN)
def _group_query(call: Call) -> tuple[Any, ...]:
    attributes, dtype = call.attributes, call.inputs[0].dtype
    _refuse_cache(call)
    heads, groups = int(attributes["num_heads"]), int(attributes["kv_num_heads"])
    q, k, v = _grouped(call, heads, groups)
    q, k = _normalised(call, q, 14, "q_norm_epsilon"), _normalised(call, k, 15, "k_norm_epsilon")
    batch, length = q.shape[0], q.shape[2]
    totals = np.asarray(call.inputs[5]).reshape(-1).astype(np.int64) + 1
    new = np.minimum(totals, length) if call.input(16) is None else np.asarray(call.inputs[16]).astype(np.int64)
    starts = totals - new
    past_k, past_v = call.input(3), call.input(4)
    if (starts < 0).any() or (starts > (0 if past_k is None else past_k.shape[2])).any():
        raise ModelError(f"{totals.tolist()} elements with {new.tolist()} new ones do not follow the cache")
    if attributes.get("do_rotary", 0):
        cos, sin = call.inputs[7:9]
        places = _places(call.input(9), starts, length, len(cos))
        turns = bool(attributes.get("rotary_interleaved", 0))
        q, k = (_turned(x, cos, sin, places, turns) for x in (q, k))
    room = max(0 if past_k is None else past_k.shape[2], int(np.asarray(call.inputs[6]).reshape(-1)[0]))
    keys, values = (_appended(p, x, starts, new, room) for p, x in ((past_k, k), (past_v, v)))
    y, shown = np.zeros((batch, heads, length, v.shape[3])), np.zeros((batch, heads, length, room))
    for b, (start, total) in enumerate(zip(starts.tolist(), totals.tolist(), strict=True)):
        y[b], shown[b, :, :, :total] = _one_sequence(call, q[b], keys[b, :, :total], values[b, :, :total], start, b)
    return (rounded(_joined(y), dtype), rounded(keys, dtype), rounded(values, dtype), rounded(shown, dtype))


def _places(given: Any, starts: np.ndarray, length: int, count: int) -> np.ndarray:
    """Where each query stands: as the model says, or after the cache; what lies beyond the angles there is padding."""
    if given is None:
        return np.minimum(starts[:, None] + np.arange(length), count - 1)
    if given.size and not (given.min() >= 0 and given.max() < count):
        raise ModelError(f"position_ids must lie from 0 to {count - 1}")
    return given


def _refuse_cache(call: Call) -> None:
    attributes = call.attributes
    kinds = {str(attributes.get(name, "NONE")) for name in ("k_quant_type", "v_quant_type")}
    if kinds != {"NONE"} or attributes.get("sliding_window_cache", 0):
        raise ModelError("a cache that is quantised, or slides, is not known here")


def _grouped(call: Call, heads: int, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    query, key, value = call.inputs[0], call.input(1), call.input(2)
    if key is None:
        size = query.shape[2] // (heads + 2 * groups)
        query, key, value = np.split(query, [heads * size, (heads + groups) * size], axis=2)
    return _heads(widened(query), heads), _heads(widened(key), groups), _heads(widened(value), groups)


def _normalised(call: Call, x: np.ndarray, slot: int, epsilon: str) -> np.ndarray:
    weight = call.input(slot)
    if weight is None:
        return x
    usual = call.attributes.get("qk_norm_epsilon", float(np.float32(1e-6)))
    small = float(call.attributes.get(epsilon, usual))
    return x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + small) * widened(weight)


def _appended(past: Any, x: np.ndarray, starts: np.ndarray, counts: np.ndarray, room: int) -> np.ndarray:
    """The cache with each sequence's new elements after its own old ones; 0 beyond."""
    out = np.zeros((x.shape[0], x.shape[1], room, x.shape[3]))
    for b, (start, count) in enumerate(zip(starts.tolist(), counts.tolist(), strict=True)):
        if past is not None:
            out[b, :, :start] = past[b, :, :start]
        out[b, :, start : start + count] = x[b, :, :count]
    return out


def _one_sequence(
    call: Call, q: np.ndarray, k: np.ndarray, v: np.ndarray, start: int, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """What one sequence's queries see, and their scores; queries stand from `start` on."""
    attributes, bias, sink = call.attributes, call.input(10), call.input(11)
    repeat = q.shape[0] // k.shape[0]
    k, v = np.repeat(k, repeat, axis=0), np.repeat(v, repeat, axis=0)
    scores = _scores(call, q, k)
    cap, window = float(attributes.get("softcap", 0.0)), int(attributes.get("local_window_size", -1))
    scores = cap * np.tanh(scores / cap) if cap else scores
    if bias is not None:
        scores = scores + widened(bias)[number if len(bias) > 1 else 0][:, : q.shape[1], : k.shape[1]]
    at, key = start + np.arange(q.shape[1])[:, None], np.arange(k.shape[1])[None, :]
    hidden = (key > at) if attributes.get("causal", 1) else np.zeros(at.shape, bool)
    hidden = hidden | (key <= at - window) if window >= 0 else hidden
    scores = np.where(hidden, -np.inf, scores)
    smooth = int(attributes.get("smooth_softmax", -1)) == 1
    extra = None if sink is None and not smooth else np.zeros(len(q)) if sink is None else widened(sink)
    weights = softmax(scores) if extra is None else _with_sink(scores, extra)
    shown = weights if int(attributes.get("qk_output", 0)) == 2 else scores
    return np.matmul(weights, v), shown


def _with_sink(scores: np.ndarray, sink: np.ndarray) -> np.ndarray:
    """Softmax over the keys and one more, of that score, which takes its share and gives nothing."""
    more = np.broadcast_to(sink[:, None, None], (*scores.shape[:-1], 1))
    return softmax(np.concatenate([scores, more], axis=-1))[..., :-1]
