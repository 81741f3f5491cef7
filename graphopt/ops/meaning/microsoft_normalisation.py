"""com.microsoft: normalisations beside the standard's, in float64 and rounded once.

ONNX Runtime writes SimplifiedLayerNormalization into the standard's own domain, and LayerNormalization into models of
opsets before 17 which have none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from graphopt.ops.meaning.operands import axis_of
from graphopt.ops.meaning.precision import rounded, sigmoid, widened
from graphopt.ops.table import Call, meaning

_DOMAIN = "com.microsoft"
_EPSILON = {name: float(np.float32(value)) for name, value in (("usual", 1e-5), ("tiny", 1e-12))}


def _epsilon(call: Call, usual: str = "usual") -> float:
    return float(call.attributes.get("epsilon", _EPSILON[usual]))


@meaning("SimplifiedLayerNormalization", domain=_DOMAIN)
@meaning("SimplifiedLayerNormalization")
def _simplified(call: Call) -> tuple[np.ndarray, ...]:
    x, scale = call.inputs[:2]
    axis = axis_of(int(call.attributes.get("axis", -1)), x.ndim)
    wide = widened(x)
    square = np.square(wide).mean(axis=tuple(range(axis, x.ndim)), keepdims=True)
    inverse = 1.0 / np.sqrt(square + _epsilon(call))
    return (rounded(wide * inverse * widened(scale), scale.dtype), rounded(inverse, np.dtype(np.float32)))


@meaning("GroupNorm", "SkipGroupNorm", domain=_DOMAIN)
def _group_norm(call: Call) -> tuple[np.ndarray, ...]:
    x, gamma, beta = call.inputs[:3]
    last, groups = bool(call.attributes.get("channels_last", 1)), int(call.attributes["groups"])
    wide = widened(x)
    if call.op == "SkipGroupNorm":
        wide = wide + _skip(call.inputs[3], x.shape) + (0.0 if call.input(4) is None else widened(call.inputs[4]))
    total = wide
    parts = np.moveaxis(wide, -1, 1) if last else wide
    shape = parts.shape
    parts = parts.reshape(shape[0], groups, -1)
    centred = parts - parts.mean(axis=2, keepdims=True)
    y = centred / np.sqrt(np.square(centred).mean(axis=2, keepdims=True) + _epsilon(call))
    y = y.reshape(shape)
    y = y * _per_channel(gamma, len(shape)) + _per_channel(beta, len(shape))
    y = np.moveaxis(y, 1, -1) if last else y
    y = y * sigmoid(y) if int(call.attributes["activation"]) else y
    return (rounded(np.ascontiguousarray(y), x.dtype), rounded(total, x.dtype))


def _skip(skip: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    wide = widened(skip)
    return wide.reshape(shape[0], *[1] * (len(shape) - 2), shape[-1]) if wide.ndim == 2 else wide


def _per_channel(v: np.ndarray, rank: int) -> np.ndarray:
    return widened(v).reshape(-1, *[1] * (rank - 2))


@meaning("EmbedLayerNormalization", domain=_DOMAIN)
def _embed(call: Call) -> tuple[Any, ...]:
    words, segments, word_table, position_table, segment_table, gamma, beta = call.inputs[:7]
    mask, positions = call.input(7), call.input(8)
    batch, length = words.shape
    places = np.broadcast_to(np.arange(length) if positions is None else positions, (batch, length))
    total = widened(word_table)[words] + widened(position_table)[places]
    if segments is not None:
        total = total + widened(segment_table)[segments]
    centred = total - total.mean(axis=-1, keepdims=True)
    y = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + _epsilon(call, "tiny"))
    counts = np.zeros(batch, np.int32) if mask is None else (mask == 1).sum(axis=1).astype(np.int32)
    dtype = word_table.dtype
    return (rounded(y * widened(gamma) + widened(beta), dtype), counts, rounded(total, dtype))


@meaning("QEmbedLayerNormalization", domain=_DOMAIN)
def _quantised_embed(call: Call) -> tuple[Any, ...]:
    words, segments, word, position, segment, gamma, beta, mask = call.inputs[:8]
    scales, zeros = call.inputs[8:13], call.inputs[13:18]
    tables = [
        None if x is None else ((x.astype(np.float64) - float(zero)) * float(scale)).astype(np.float32)
        for x, scale, zero in zip((word, position, segment, gamma, beta), scales, zeros, strict=True)
    ]
    plain = replace(call, op="EmbedLayerNormalization", inputs=(words, segments, *tables, mask))
    return _embed(plain)[:2]
