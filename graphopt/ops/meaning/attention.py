"""Attention and rotary embedding, in float64 and rounded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning


@meaning("Attention")
def _attention(call: Call) -> tuple[Any, ...]:
    q, k, v = (_heads(call, x, name) for x, name in zip(call.inputs[:3], "qkv", strict=True))
    past_k, past_v, lengths = call.input(4), call.input(5), call.input(6)
    past = 0 if past_k is None else past_k.shape[2]
    if past_k is not None:
        k, v = np.concatenate([past_k, k], axis=2), np.concatenate([past_v, v], axis=2)
    present = (k, v)
    repeat = q.shape[1] // k.shape[1]
    wide_q, wide_k, wide_v = widened(q), np.repeat(widened(k), repeat, axis=1), np.repeat(widened(v), repeat, axis=1)
    scale = call.attributes.get("scale")
    factor = 1.0 / math.sqrt(q.shape[3]) if scale is None else float(scale)
    raw = np.matmul(wide_q, np.swapaxes(wide_k, 2, 3)) * factor
    cap = float(call.attributes.get("softcap", 0.0))
    capped = cap * np.tanh(raw / cap) if cap else raw
    biased = capped + _bias(call, capped.shape, past, lengths)
    weights = softmax(biased)
    y = np.matmul(weights, wide_v)
    shown = (raw, capped, biased, weights)[int(call.attributes.get("qk_matmul_output_mode", 0))]
    dtype = call.inputs[0].dtype
    if call.inputs[0].ndim == 3:
        y = np.swapaxes(y, 1, 2).reshape(y.shape[0], y.shape[2], -1)
    return (rounded(y, dtype), *present, rounded(shown, dtype))


def _heads(call: Call, x: np.ndarray, name: str) -> np.ndarray:
    """(batch, heads, sequence, head size), from either layout."""
    if x.ndim == 4:
        return x
    heads = int(call.attributes["q_num_heads" if name == "q" else "kv_num_heads"])
    return np.swapaxes(x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads), 1, 2)


def _bias(call: Call, shape: tuple[int, ...], past: int, lengths: np.ndarray | None) -> np.ndarray:
    """What is added to the scores: the mask, and −inf where causality, a window or padding forbids a key."""
    batch, _, queries, keys = shape
    bias = np.zeros((1, 1, 1, keys))
    mask = call.input(3)
    if mask is not None:
        added = np.where(mask, 0.0, -np.inf) if mask.dtype == np.bool_ else widened(mask)
        added = np.pad(added, [(0, 0)] * (added.ndim - 1) + [(0, keys - added.shape[-1])], constant_values=-np.inf)
        bias = bias + added
    offset = np.full(batch, past) if lengths is None else np.asarray(lengths) - queries
    if call.version < 24 or past:
        offset = np.full(batch, past)
    at = np.arange(queries)[None, :, None] + offset[:, None, None]
    key = np.arange(keys)[None, None, :]
    allowed = np.ones((batch, queries, keys), bool)
    if call.attributes.get("is_causal", 0):
        allowed &= key <= at
    left, right = int(call.attributes.get("left_window_size", -1)), int(call.attributes.get("right_window_size", -1))
    if left >= 0:
        allowed &= key >= at - left
    if right >= 0:
        allowed &= key <= at + right
    if lengths is not None:
        allowed &= key < np.asarray(lengths)[:, None, None]
    return bias + np.where(allowed, 0.0, -np.inf)[:, None]


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax over the keys; a query that may see none gets zeros."""
    top = x.max(axis=-1, keepdims=True, initial=-np.inf)
    powers = np.exp(x - np.where(np.isneginf(top), 0.0, top))
    total = powers.sum(axis=-1, keepdims=True)
    return np.where(total == 0, 0.0, powers / np.where(total == 0, 1.0, total))


@meaning("RotaryEmbedding")
def _rotary(call: Call) -> tuple[np.ndarray]:
    x, cos, sin, positions = call.inputs[0], call.inputs[1], call.inputs[2], call.input(3)
    wide = widened(x)
    if x.ndim == 4:
        wide = np.swapaxes(wide, 1, 2)
    else:
        heads = int(call.attributes["num_heads"])
        wide = wide.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads)
    size = int(call.attributes.get("rotary_embedding_dim", 0)) or wide.shape[3]
    turned, kept = wide[..., :size], wide[..., size:]
    cos, sin = (widened(v if positions is None else v[positions])[:, :, None, : size // 2] for v in (cos, sin))
    y = np.concatenate([rotated(turned, cos, sin, bool(call.attributes.get("interleaved", 0))), kept], axis=-1)
    y = np.swapaxes(y, 1, 2) if x.ndim == 4 else y.reshape(x.shape)
    return (rounded(y, x.dtype),)


def rotated(x: np.ndarray, cos: np.ndarray, sin: np.ndarray, interleaved: bool) -> np.ndarray:
    """Pairs of elements of the last axis, neighbours where `interleaved`, else of its halves, turned by angles."""
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else np.split(x, 2, axis=-1)
    real, imaginary = cos * a - sin * b, sin * a + cos * b
    if interleaved:
        return np.stack([real, imaginary], axis=-1).reshape(x.shape)
    return np.concatenate([real, imaginary], axis=-1)
