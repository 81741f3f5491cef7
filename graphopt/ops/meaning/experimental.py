"""Operators that the standard had as experiments and dropped: old exporters wrote them, and ONNX Runtime runs them."""

from __future__ import annotations

import numpy as np

from graphopt.ops.meaning.precision import rounded, softplus, widened
from graphopt.ops.table import Call, meaning


def _float(call: Call, name: str, default: float = 1.0) -> float:
    return float(call.attributes.get(name, default))


@meaning("Affine")
def _affine(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (rounded(_float(call, "alpha") * widened(x) + _float(call, "beta", 0.0), x.dtype),)


@meaning("ParametricSoftplus")
def _parametric_softplus(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (rounded(_float(call, "alpha") * softplus(_float(call, "beta") * widened(x)), x.dtype),)


@meaning("ScaledTanh")
def _scaled_tanh(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (rounded(_float(call, "alpha") * np.tanh(_float(call, "beta") * widened(x)), x.dtype),)


@meaning("ImageScaler")
def _image_scaler(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    bias = np.array(call.attributes["bias"], np.float64).reshape(-1, *[1] * (x.ndim - 2))
    return (rounded(_float(call, "scale") * widened(x) + bias, x.dtype),)


@meaning("Crop")
def _crop(call: Call) -> tuple[np.ndarray]:
    x, border = call.inputs[0], [int(v) for v in call.attributes["border"]]
    left, top, right, bottom = border
    height, width = (
        int(v) for v in call.attributes.get("scale") or (x.shape[2] - top - bottom, x.shape[3] - left - right)
    )
    return (x[:, :, top : top + height, left : left + width].copy(),)
