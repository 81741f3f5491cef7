"""Losses, as training graphs carry them."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning


def _loss(call: Call, logs: np.ndarray, target: np.ndarray, weight: Any) -> np.ndarray:
    """The negative log likelihood of the targets, reduced as asked; an ignored target counts for nothing."""
    ignored = call.attributes.get("ignore_index")
    kept = np.ones(target.shape, bool) if ignored is None else target != int(ignored)
    classes = np.where(kept, target, 0).astype(np.int64)
    picked = np.take_along_axis(logs, classes[:, None], axis=1)[:, 0]
    factors = np.where(kept, 1.0 if weight is None else widened(weight)[classes], 0.0)
    loss = np.where(kept, -picked * factors, 0.0)
    match str(call.attributes.get("reduction", "mean")):
        case "none":
            return loss
        case "sum":
            return loss.sum()
        case _:
            return loss.sum() / factors.sum()


@meaning("NegativeLogLikelihoodLoss")
def _negative_log_likelihood(call: Call) -> tuple[np.ndarray]:
    x, target = call.inputs[:2]
    return (rounded(_loss(call, widened(x), target, call.input(2)), x.dtype),)


@meaning("SoftmaxCrossEntropyLoss")
def _softmax_cross_entropy(call: Call) -> tuple[np.ndarray, np.ndarray]:
    x, target = call.inputs[:2]
    wide = widened(x)
    wide = wide - wide.max(axis=1, keepdims=True)
    logs = wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
    return (rounded(_loss(call, logs, target, call.input(2)), x.dtype), rounded(logs, x.dtype))
