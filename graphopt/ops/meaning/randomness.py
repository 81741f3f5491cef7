"""Random operators.  ONNX fixes distributions, not draws: no two runtimes agree on them.

With a `seed` attribute a call gives the same draws each time; without one, others.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ops.table import Call, meaning


def _generator(call: Call) -> np.random.Generator:
    seed = call.attributes.get("seed")
    return np.random.default_rng(None if seed is None else np.float32(seed).view(np.uint32))


@meaning("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
def _random(call: Call) -> tuple[np.ndarray]:
    a = call.attributes
    like: Any = call.input(0)
    shape = tuple(int(n) for n in a["shape"]) if like is None else like.shape
    plain = np.dtype(np.float32) if like is None else like.dtype
    dtype = DType(int(a["dtype"])).numpy if "dtype" in a else plain
    if "Normal" in call.op:
        drawn = _generator(call).normal(float(a.get("mean", 0.0)), float(a.get("scale", 1.0)), shape)
    else:
        drawn = _generator(call).uniform(float(a.get("low", 0.0)), float(a.get("high", 1.0)), shape)
    return (np.asarray(drawn).astype(dtype),)


@meaning("Bernoulli")
def _bernoulli(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    dtype = DType(int(call.attributes["dtype"])).numpy if "dtype" in call.attributes else x.dtype
    return ((_generator(call).random(x.shape) < x.astype(np.float64)).astype(dtype),)


@meaning("Multinomial")
def _multinomial(call: Call) -> tuple[np.ndarray]:
    logits = call.inputs[0].astype(np.float64)
    count = int(call.attributes.get("sample_size", 1))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    edges = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    drawn = _generator(call).random((len(logits), count))
    picked = (drawn[:, :, None] >= edges[:, None, :]).sum(axis=2)
    return (np.minimum(picked, logits.shape[1] - 1).astype(DType(int(call.attributes.get("dtype", 6))).numpy),)
