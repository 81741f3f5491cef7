"""Elementwise operators of one input: roundings, activations, trigonometry.

Activations are computed in float64 and rounded once (`precision`).  Attributes are float32 in the format, so their
defaults are the float32 nearest to the number in the text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.precision import erf, rounded, sigmoid, softplus, widened
from graphopt.ops.table import Call, meaning


def _single(value: float) -> float:
    return float(np.float32(value))


def _register(op: str, function: Callable[..., np.ndarray], **defaults: float) -> None:
    """Register `function(x in float64, attributes...)` as the meaning of an operator."""
    plain = {name: _single(value) for name, value in defaults.items()}

    def compute(call: Call) -> tuple[np.ndarray]:
        x = call.inputs[0]
        attributes = {name: float(call.attributes.get(name, value)) for name, value in plain.items()}
        return (rounded(function(widened(x), **attributes), x.dtype),)

    meaning(op)(compute)


_register("Exp", np.exp)
_register("Log", np.log)
_register("Sin", np.sin)
_register("Cos", np.cos)
_register("Tan", np.tan)
_register("Asin", np.arcsin)
_register("Acos", np.arccos)
_register("Atan", np.arctan)
_register("Sinh", np.sinh)
_register("Cosh", np.cosh)
_register("Tanh", np.tanh)
_register("Asinh", np.arcsinh)
_register("Acosh", np.arccosh)
_register("Atanh", np.arctanh)
_register("Erf", erf)
_register("Sigmoid", sigmoid)
_register("Softplus", softplus)
_register("Softsign", lambda x: x / (1.0 + np.abs(x)))
_register("Mish", lambda x: x * np.tanh(softplus(x)))
_register("Elu", lambda x, alpha: np.where(x < 0, alpha * np.expm1(x), x), alpha=1.0)
_register("Celu", lambda x, alpha: np.where(x < 0, alpha * np.expm1(x / alpha), x), alpha=1.0)
_register(
    "Selu",
    lambda x, alpha, gamma: gamma * np.where(x <= 0, alpha * np.expm1(x), x),
    alpha=1.67326319217681884765625,
    gamma=1.05070102214813232421875,
)
_register("LeakyRelu", lambda x, alpha: np.where(x < 0, alpha * x, x), alpha=0.01)
_register("ThresholdedRelu", lambda x, alpha: np.where(x > alpha, x, 0.0), alpha=1.0)
_register("HardSigmoid", lambda x, alpha, beta: np.clip(alpha * x + beta, 0.0, 1.0), alpha=0.2, beta=0.5)
_register("HardSwish", lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0))
_register("Swish", lambda x, alpha: x * sigmoid(alpha * x), alpha=1.0)


@meaning("Gelu")
def _gelu(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (rounded(gelu(widened(x), call.attributes.get("approximate", "none")), x.dtype),)


@meaning("Gelu", "FastGelu", "QuickGelu", domain="com.microsoft")
def _contrib_gelu(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    wide = widened(x)
    if call.op == "FastGelu" and call.input(1) is not None:
        wide = wide + widened(call.inputs[1])
    if call.op == "QuickGelu":
        return (rounded(wide * sigmoid(float(call.attributes.get("alpha", _single(1.702))) * wide), x.dtype),)
    return (rounded(gelu(wide, "tanh" if call.op == "FastGelu" else "none"), x.dtype),)


def gelu(x: np.ndarray, approximate: str) -> np.ndarray:
    """x·Φ(x), with Φ by erf or, for `tanh`, by its usual approximation."""
    if approximate == "tanh":
        return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


@meaning("Shrink")
def _shrink(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    bias, limit = float(call.attributes.get("bias", 0.0)), float(call.attributes.get("lambd", 0.5))
    wide = x.astype(np.float64)
    shrunk = np.where(wide < -limit, wide + bias, np.where(wide > limit, wide - bias, 0.0))
    return (shrunk.astype(x.dtype),)


@meaning("SwiGLU")
def _swiglu(call: Call) -> tuple[np.ndarray]:
    gate, linear = call.inputs
    wide = widened(gate)
    return (rounded(wide * sigmoid(float(call.attributes.get("alpha", 1.0)) * wide) * widened(linear), gate.dtype),)


@meaning("Relu")
def _relu(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (np.where(x <= 0, np.zeros((), x.dtype), x),)  # NaN stays, and −0 becomes +0 as in max(+0, x)


@meaning("Abs")
def _abs(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    if symbolic.is_symbolic(x):
        return (symbolic.each(lambda a: symbolic.larger(a, -a), x),)
    return (np.abs(x).astype(x.dtype, copy=False),)


@meaning("Neg")
def _neg(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (symbolic.each(lambda a: -a, x) if symbolic.is_symbolic(x) else np.negative(x),)


@meaning("Identity")
def _identity(call: Call) -> tuple[Any]:
    return (call.inputs[0],)


@meaning("Ceil", "Floor", "Round")
def _round(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    if symbolic.is_symbolic(x):
        return (x,)
    function = {"Ceil": np.ceil, "Floor": np.floor, "Round": np.rint}[call.op]  # rint: halves to even, as the text says
    return (function(x).astype(x.dtype, copy=False),)


@meaning("Sqrt")
def _sqrt(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (np.sqrt(x).astype(x.dtype, copy=False),)


@meaning("Reciprocal")
def _reciprocal(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (np.divide(np.ones((), x.dtype), x).astype(x.dtype, copy=False),)


@meaning("Sign")
def _sign(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    return (np.sign(x).astype(x.dtype, copy=False),)


@meaning("IsNaN")
def _isnan(call: Call) -> tuple[np.ndarray]:
    return (np.isnan(call.inputs[0]).astype(np.bool_),)


@meaning("IsInf")
def _isinf(call: Call) -> tuple[np.ndarray]:
    x = widened(call.inputs[0])
    negative = np.isneginf(x) & bool(call.attributes.get("detect_negative", 1))
    positive = np.isposinf(x) & bool(call.attributes.get("detect_positive", 1))
    return (np.asarray(negative | positive),)


@meaning("Not")
def _not(call: Call) -> tuple[np.ndarray]:
    return (np.logical_not(call.inputs[0]),)


@meaning("BitwiseNot")
def _bitwise_not(call: Call) -> tuple[np.ndarray]:
    return (np.invert(call.inputs[0]),)


@meaning("Softmax", "LogSoftmax", "Hardmax")
def _softmax(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    axis = int(call.attributes.get("axis", 1 if call.version < 13 else -1))
    if call.version >= 13 or x.ndim == 0:
        return (_along(call.op, x, axis),)
    axis += x.ndim if axis < 0 else 0  # before opset 13 the input is seen as a matrix, split at the axis
    rows = math.prod(x.shape[:axis])
    matrix = x.reshape(rows, math.prod(x.shape[axis:]))
    return (_along(call.op, matrix, 1).reshape(x.shape),)


def _along(op: str, x: np.ndarray, axis: int) -> np.ndarray:
    if x.size == 0 or x.ndim == 0:
        return x.copy() if x.size == 0 else np.ones_like(x) if op != "LogSoftmax" else np.zeros_like(x)
    if op == "Hardmax":
        best = np.expand_dims(np.argmax(x, axis), axis)
        index = np.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
        return (index == best).astype(x.dtype)
    wide = widened(x)
    wide = wide - wide.max(axis=axis, keepdims=True)
    powers = np.exp(wide)
    total = powers.sum(axis=axis, keepdims=True)
    return rounded(wide - np.log(total) if op == "LogSoftmax" else powers / total, x.dtype)
