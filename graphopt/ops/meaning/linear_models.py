"""Linear models and support vector machines of ai.onnx.ml.

A linear model has a row of coefficients for each score, as long as the data has features.  Where the model has more
coefficients than that, the text is silent: as in ONNX Runtime, the rows lie at the front and the rest is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.scores import finished
from graphopt.ops.meaning.symbolic import objects
from graphopt.ops.table import Call, meaning


def _rows(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    return wide.reshape(1, -1) if wide.ndim == 1 else wide.reshape(len(wide), -1)


def _labels(a: Mapping[str, Any], integers: str = "classlabels_ints") -> list[Any]:
    return list(a.get("classlabels_strings") or a.get(integers) or ())


def _chosen(labels: list[Any], best: np.ndarray) -> np.ndarray:
    if labels and isinstance(labels[0], (str, bytes)):
        return objects([labels[int(i)] for i in best], best.shape)
    return (np.array(labels, np.int64) if labels else np.arange(int(best.max(initial=0)) + 1))[best]


def _matrix(coefficients: np.ndarray, rows: int, features: int) -> np.ndarray:
    """The rows, from the front; ModelError where there are fewer numbers than they take."""
    if coefficients.size < rows * features:
        raise ModelError(
            f"{coefficients.size} coefficients for {rows} scores take at most {coefficients.size // rows} features;"
            f" there are {features}"
        )
    return coefficients[: rows * features].reshape(rows, features)


@meaning("LinearRegressor", domain="ai.onnx.ml")
def _linear_regressor(call: Call) -> tuple[np.ndarray]:
    a, x = call.attributes, _rows(call.inputs[0])
    weights = _matrix(np.array(a["coefficients"], np.float64), int(a.get("targets", 1)), x.shape[1])
    scores = x @ weights.T + np.array(a.get("intercepts") or [0.0], np.float64)
    return (finished(scores, str(a.get("post_transform", "NONE"))).astype(np.float32),)


@meaning("LinearClassifier", domain="ai.onnx.ml")
def _linear_classifier(call: Call) -> tuple[np.ndarray, ...]:
    a, x = call.attributes, _rows(call.inputs[0])
    labels, post = _labels(a), str(a.get("post_transform", "NONE"))
    weights, intercepts = np.array(a["coefficients"], np.float64), np.array(a.get("intercepts") or (), np.float64)
    features = x.shape[1]
    count = len(intercepts) or max(weights.size // features, 1)
    scores = x @ _matrix(weights, count, features).T + (intercepts if len(intercepts) else 0.0)
    if scores.shape[1] == 1 and len(labels) == 2:  # one score for two classes
        best = (scores[:, 0] > 0).astype(np.int64)
        scores = np.concatenate([1.0 - scores if post == "NONE" else -scores, scores], axis=1)
    else:
        best = np.argmax(scores, axis=1)
    return (_chosen(labels, best), finished(scores, post).astype(np.float32))


def _kernel(a: Mapping[str, Any], x: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The kernel of each row with each support vector."""
    gamma, coef, degree = (float(v) for v in a.get("kernel_params") or (0.0, 0.0, 0.0))
    match str(a.get("kernel_type", "LINEAR")):
        case "LINEAR":
            return x @ vectors.T
        case "POLY":
            return (gamma * (x @ vectors.T) + coef) ** degree
        case "SIGMOID":
            return np.tanh(gamma * (x @ vectors.T) + coef)
        case "RBF":
            squares = np.square(x[:, None, :] - vectors[None]).sum(axis=2)
            return np.exp(-gamma * squares)
        case other:
            raise ModelError(f"kernel {other!r} is not known")


@meaning("SVMRegressor", domain="ai.onnx.ml")
def _svm_regressor(call: Call) -> tuple[np.ndarray]:
    a, x = call.attributes, _rows(call.inputs[0])
    count = int(a.get("n_supports", 0))
    coefficients = np.array(a["coefficients"], np.float64)
    if count:
        products = _kernel(a, x, np.array(a["support_vectors"], np.float64).reshape(count, -1))
    else:  # no support vectors: the coefficients are the weights of a linear model
        products, coefficients = x, coefficients
    scores = (products @ coefficients + float((a.get("rho") or (0.0,))[0])).reshape(-1, 1)
    if a.get("one_class", 0):
        scores = np.where(scores > 0, 1.0, -1.0)
    return (finished(scores, str(a.get("post_transform", "NONE"))).astype(np.float32),)
