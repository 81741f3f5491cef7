"""What ai.onnx.ml does to scores before it returns them (`post_transform`)."""

from __future__ import annotations

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.precision import sigmoid


def finished(scores: np.ndarray, transform: str) -> np.ndarray:
    """Scores (rows, classes) after `post_transform`: NONE, SOFTMAX, LOGISTIC, SOFTMAX_ZERO or PROBIT."""
    match transform:
        case "NONE":
            return scores
        case "LOGISTIC":
            return sigmoid(scores)
        case "SOFTMAX" | "SOFTMAX_ZERO":
            powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
            if transform == "SOFTMAX_ZERO":  # a score of 0 stays out of it
                powers = np.where(scores == 0, 0.0, powers)
            total = powers.sum(axis=-1, keepdims=True)
            return np.where(total == 0, 0.0, powers / np.where(total == 0, 1.0, total))
        case "PROBIT":
            return _probit(scores)
        case _:
            raise ModelError(f"post_transform {transform!r} is not known")


def _probit(p: np.ndarray) -> np.ndarray:
    """The quantile of the normal distribution: Newton's method on erf, from the middle, in float64."""
    from statistics import NormalDist

    normal = NormalDist()
    found = [normal.inv_cdf(v) if 0 < v < 1 else np.copysign(np.inf, v - 0.5) for v in p.ravel().tolist()]
    return np.array(found, np.float64).reshape(p.shape)
