"""Normalisations, in float64 throughout and rounded once: more than the text's `stash_type` asks for.

But for GroupNormalization of float64 numbers, whose first stage the text and the runtimes compute in the type that
`stash_type` names, float32 if nothing else is said: what float32 does not tell apart is one number there.  The text
says the same of LayerNormalization and RMSNormalization, and neither ONNX Runtime nor onnx's reference does it, so
neither do we.
"""

from __future__ import annotations

import math

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ops.meaning.operands import axis_of
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning

_EPSILON = float(np.float32(1e-5))


def _epsilon(call: Call, default: float = _EPSILON) -> float:
    return float(call.attributes.get("epsilon", default))


@meaning("BatchNormalization")
def _batch(call: Call) -> tuple[np.ndarray, ...]:
    x = call.inputs[0]
    scale, bias, mean, variance = (_per_channel(v, x.ndim) for v in call.inputs[1:5])
    wide = widened(x)
    training = bool(call.attributes.get("training_mode", 0)) or (call.version < 14 and call.outputs > 1)
    running: list[np.ndarray] = []
    if training:
        axes = (0, *range(2, x.ndim))
        momentum = float(call.attributes.get("momentum", np.float32(0.9)))
        now = wide.mean(axis=axes, keepdims=True), wide.var(axis=axes, keepdims=True)
        kept = zip((mean, variance), now, call.inputs[3:5], strict=True)
        running = [
            rounded((old * momentum + new * (1 - momentum)).reshape(-1), given.dtype) for old, new, given in kept
        ]
        mean, variance = now
        if call.version < 14:
            running += [rounded(v.reshape(-1), given.dtype) for v, given in zip(now, call.inputs[3:5], strict=True)]
    y = (wide - mean) / np.sqrt(variance + _epsilon(call)) * scale + bias
    return (rounded(y, x.dtype), *running)


def _per_channel(v: np.ndarray, rank: int) -> np.ndarray:
    wide = widened(v)
    if wide.ndim > 1:  # opset 7 with spatial = 0: one number an activation
        return wide.reshape(1, *wide.shape)
    return wide.reshape(-1, *[1] * (rank - 2)) if rank > 1 else wide


@meaning("InstanceNormalization")
def _instance(call: Call) -> tuple[np.ndarray]:
    x, scale, bias = call.inputs
    y = _standard(widened(x), tuple(range(2, x.ndim)), _epsilon(call))[0]
    return (rounded(y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim), x.dtype),)


@meaning("GroupNormalization")
def _group(call: Call) -> tuple[np.ndarray]:
    x, scale, bias = call.inputs
    groups = int(call.attributes["num_groups"])
    if scale.shape[0] == groups != x.shape[1]:  # opset 18: one number a group
        scale, bias = np.repeat(scale, x.shape[1] // groups), np.repeat(bias, x.shape[1] // groups)
    stash = DType(int(call.attributes.get("stash_type", 1))).numpy if call.version >= 21 else x.dtype
    parts = widened(x.astype(stash)).reshape(x.shape[0], groups, math.prod(x.shape[1:]) // groups)
    y = widened(rounded(_standard(parts, (2,), _epsilon(call))[0], stash)).reshape(x.shape)
    return (rounded(y * _per_channel(scale, x.ndim) + _per_channel(bias, x.ndim), x.dtype),)


def _standard(x: np.ndarray, axes: tuple[int, ...], epsilon: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Zero mean and unit variance over the axes; with the mean and the inverse of the deviation."""
    mean = x.mean(axis=axes, keepdims=True)
    centred = x - mean
    inverse = 1.0 / np.sqrt(np.square(centred).mean(axis=axes, keepdims=True) + epsilon)
    return centred * inverse, mean, inverse


@meaning("LayerNormalization")
def _layer(call: Call) -> tuple[np.ndarray, ...]:
    x, scale, bias = call.inputs[0], call.inputs[1], call.input(2)
    axis = axis_of(int(call.attributes.get("axis", -1)), x.ndim)
    y, mean, inverse = _standard(widened(x), tuple(range(axis, x.ndim)), _epsilon(call))
    y = y * widened(scale)
    if bias is not None:
        y = y + widened(bias)
    stash = DType(int(call.attributes.get("stash_type", 1))).numpy
    return (rounded(y, x.dtype), rounded(mean, stash), rounded(inverse, stash))


@meaning("RMSNormalization")
def _rms(call: Call) -> tuple[np.ndarray]:
    x, scale = call.inputs
    axis = axis_of(int(call.attributes.get("axis", -1)), x.ndim)
    wide = widened(x)
    square = np.square(wide).mean(axis=tuple(range(axis, x.ndim)), keepdims=True)
    return (rounded(wide / np.sqrt(square + _epsilon(call)) * widened(scale), scale.dtype),)


@meaning("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", domain="com.microsoft")
def _skip_layer(call: Call) -> tuple[np.ndarray | None, ...]:
    x, skip, gamma = call.inputs[:3]
    plain = call.op == "SkipLayerNormalization"
    beta, bias = (call.input(3), call.input(4)) if plain else (None, call.input(3))
    total = widened(x) + widened(skip) + (0.0 if bias is None else widened(bias))
    epsilon = _epsilon(call, float(np.float32(1e-12)))
    if plain:
        y, mean, inverse = _standard(total, (x.ndim - 1,), epsilon)
    else:
        mean = None
        inverse = 1.0 / np.sqrt(np.square(total).mean(axis=-1, keepdims=True) + epsilon)
        y = total * inverse
    y = y * widened(gamma) + (0.0 if beta is None else widened(beta))
    first = None if mean is None else rounded(mean, np.dtype(np.float32))
    return (rounded(y, x.dtype), first, rounded(inverse, np.dtype(np.float32)), rounded(total, x.dtype))


@meaning("LRN")
def _lrn(call: Call) -> tuple[np.ndarray]:
    x, size = call.inputs[0], int(call.attributes["size"])
    alpha, beta = (float(call.attributes.get(k, np.float32(v))) for k, v in (("alpha", 1e-4), ("beta", 0.75)))
    wide = widened(x)
    squares = np.pad(np.square(wide), [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (x.ndim - 2)])
    total = sum((squares[:, i : i + x.shape[1]] for i in range(size)), np.zeros(()))
    return (rounded(wide / (float(call.attributes.get("bias", 1.0)) + alpha / size * total) ** beta, x.dtype),)


@meaning("LpNormalization")
def _lp(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    axis, p = int(call.attributes.get("axis", -1)), int(call.attributes.get("p", 2))
    wide = widened(x)
    powers = np.abs(wide) if p == 1 else np.square(wide)
    norm = powers.sum(axis=axis, keepdims=True)
    norm = norm if p == 1 else np.sqrt(norm)
    return (rounded(np.where(norm == 0, 0.0, wide / norm), x.dtype),)


@meaning("MeanVarianceNormalization")
def _mean_variance(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    axes = tuple(axis_of(int(a), x.ndim) for a in call.attributes.get("axes", (0, 2, 3)))
    wide = widened(x)
    centred = wide - wide.mean(axis=axes, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axis=axes, keepdims=True))
    return (rounded(centred / (deviation + 1e-9), x.dtype),)  # the function body of the text adds 1e-9 to the deviation
