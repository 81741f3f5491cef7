"""com.microsoft: what ONNX Runtime makes of several operators, or of another layout, when it optimises a model.

Each is an operator of the standard, with something before or after it: the sum and the activation happen in float64
too, so that the whole is rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.convolution import convolve
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.meaning.product import gemm, turned
from graphopt.ops.meaning.unary import gelu
from graphopt.ops.table import Call, meaning, meaning_of

_DOMAIN = "com.microsoft"
_PARAMETERS = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "Clip": ("min", "max")}
"""What `activation_params` holds, in this order; other activations have none."""
_ACTIVATIONS = frozenset(
    [
        "Relu",
        "Tanh",
        "Sigmoid",
        "LeakyRelu",
        "Clip",
        "HardSigmoid",
        "Elu",
        "Selu",
        "Softplus",
        "Softsign",
        "ThresholdedRelu",
        "HardSwish",
        "Gelu",
    ]
)


def activated(name: str, x: np.ndarray, parameters: Mapping[str, Any]) -> np.ndarray:
    """The standard activation of that name, of float64 numbers; ModelError for one that is not known."""
    function = meaning_of(name) if name in _ACTIVATIONS else None
    if function is None:
        raise ModelError(f"the activation {name!r} is not known")
    return function(Call(name, "", 6, parameters, (x,), 1))[0]  # in opset 6, the bounds of Clip are attributes


def channels_first(x: np.ndarray) -> np.ndarray:
    """A tensor whose channels lie last, with its channels on axis 1: a view."""
    return np.moveaxis(x, -1, 1)


def channels_last(x: np.ndarray) -> np.ndarray:
    """The inverse of `channels_first`, contiguous."""
    return np.ascontiguousarray(np.moveaxis(x, 1, -1))


@meaning("FusedConv", "NhwcConv", "NhwcFusedConv", domain=_DOMAIN)
def _fused_conv(call: Call) -> tuple[np.ndarray]:
    x, w, bias, added = call.inputs[0], call.inputs[1], call.input(2), call.input(3)
    last = call.op.startswith("Nhwc")
    y = convolve(call, widened(channels_first(x) if last else x), widened(w))
    if bias is not None:
        y += widened(bias).reshape(-1, *[1] * (y.ndim - 2))
    if added is not None:
        y += widened(channels_first(added) if last else added)
    name = str(call.attributes.get("activation", ""))
    if name:
        given = call.attributes.get("activation_params", ())
        y = activated(name, y, dict(zip(_PARAMETERS.get(name, ()), given, strict=False)))
    return (rounded(channels_last(y) if last else y, x.dtype),)


@meaning("NhwcMaxPool", domain=_DOMAIN)
def _nhwc_max_pool(call: Call) -> tuple[np.ndarray]:
    pool: Any = meaning_of("MaxPool")
    return (channels_last(pool(replace(call, op="MaxPool", inputs=(channels_first(call.inputs[0]),)))[0]),)


@meaning("FusedGemm", domain=_DOMAIN)
def _fused_gemm(call: Call) -> tuple[np.ndarray]:
    return (rounded(_after(call, gemm(call)), call.inputs[0].dtype),)


@meaning("TransposeMatMul", "FusedMatMulActivation", domain=_DOMAIN)
def _fused_matmul(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    left = turned(widened(a), call.attributes.get("transBatchA", 0), call.attributes.get("transA", 0))
    right = turned(widened(b), call.attributes.get("transBatchB", 0), call.attributes.get("transB", 0))
    y = np.matmul(left, right) * float(call.attributes.get("alpha", 1.0))
    return (rounded(_after(call, y), a.dtype),)


def _after(call: Call, y: np.ndarray) -> np.ndarray:
    """The activation that a product's attributes name, whose parameters are attributes `activation_alpha` and so on."""
    name, prefix = str(call.attributes.get("activation", "")), "activation_"
    parameters = {k.removeprefix(prefix): v for k, v in call.attributes.items() if k.startswith(prefix)}
    return activated(name, y, parameters) if name else y


@meaning("GemmFastGelu", domain=_DOMAIN)
def _gemm_fast_gelu(call: Call) -> tuple[np.ndarray]:
    x, w, bias = call.inputs[0], call.inputs[1], call.input(2)
    y = np.matmul(widened(x), widened(w)) + (0.0 if bias is None else widened(bias))
    return (rounded(gelu(y, "tanh"), x.dtype),)


@meaning("BiasGelu", domain=_DOMAIN)
def _bias_gelu(call: Call) -> tuple[np.ndarray]:
    x, bias = call.inputs
    return (rounded(gelu(widened(x) + widened(bias), "none"), x.dtype),)


@meaning("BiasAdd", domain=_DOMAIN)
def _bias_add(call: Call) -> tuple[np.ndarray]:
    x, bias, skip = call.inputs
    return (rounded(widened(x) + widened(bias) + widened(skip), x.dtype),)


@meaning("BiasSplitGelu", domain=_DOMAIN)
def _bias_split_gelu(call: Call) -> tuple[np.ndarray]:
    x, bias = call.inputs
    left, right = np.split(widened(x) + widened(bias), 2, axis=-1)
    return (rounded(left * gelu(right, "none"), x.dtype),)


@meaning("BiasSoftmax", domain=_DOMAIN)
def _bias_softmax(call: Call) -> tuple[np.ndarray]:
    x, bias = call.inputs
    axis = int(call.attributes.get("axis", 1)) % max(x.ndim, 1)
    wide = widened(x)
    if int(call.attributes["is_inner_broadcast"]) and bias.ndim < x.ndim:
        bias = bias.reshape(*bias.shape[: bias.ndim - (x.ndim - axis)], *[1] * (x.ndim - bias.ndim), *x.shape[axis:])
    wide = wide + widened(bias)
    axes = tuple(range(axis, x.ndim))
    powers = np.exp(wide - wide.max(axis=axes, keepdims=True, initial=-np.inf))
    return (rounded(powers / powers.sum(axis=axes, keepdims=True), x.dtype),)
