"""Elementwise operators of two or more inputs, with numpy's broadcasting.

Integer `Div` truncates toward zero, as ONNX's text says ("the result is computed using truncating division") and ONNX
Runtime does; onnx.reference floored it for years (onnx#7570).  Division of integers by zero is undefined there; here
it gives 0.  Opset 7's explicit `axis`/`broadcast` of opset 6 is not read.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from graphopt.ir.dim import Dim
from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.precision import is_float, maximum, minimum, rounded, widened
from graphopt.ops.table import Call, meaning


def _binary(op: str, function: Callable[..., Any], dims: Callable[[Dim, Dim], Dim] | None = None) -> None:
    def compute(call: Call) -> tuple[np.ndarray]:
        a, b = call.inputs
        if symbolic.is_symbolic(a, b):
            if dims is None:
                raise TypeError(f"{op} is not defined on symbolic dimensions")
            return (symbolic.numbers(symbolic.each(dims, a, b)),)
        return (np.asarray(function(a, b)).astype(a.dtype, copy=False),)

    meaning(op)(compute)


def _div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    safe = np.where(b == 0, np.ones((), b.dtype), b)
    quotient = np.floor_divide(a, safe)
    if a.dtype.kind == "i":  # floor and truncation differ where the signs do and something remains
        quotient = quotient + ((quotient * safe != a) & ((a < 0) != (safe < 0))).astype(a.dtype)
    return np.where(b == 0, np.zeros((), a.dtype), quotient)


_binary("Add", np.add, lambda a, b: a + b)
_binary("Sub", np.subtract, lambda a, b: a - b)
_binary("Mul", np.multiply, lambda a, b: a * b)
_binary("Div", _div, symbolic.divide)
_binary("BitwiseAnd", np.bitwise_and)
_binary("BitwiseOr", np.bitwise_or)
_binary("BitwiseXor", np.bitwise_xor)


@meaning("PRelu")
def _prelu(call: Call) -> tuple[np.ndarray]:
    x, slope = call.inputs
    if call.version < 9 and slope.ndim == 1 and x.ndim > 2:
        slope = slope.reshape(-1, *[1] * (x.ndim - 2))  # opset 7: one slope a channel where it does not broadcast
    return (np.where(x < 0, x * slope, x).astype(x.dtype, copy=False),)


@meaning("Pow")
def _pow(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    if symbolic.is_symbolic(a, b):
        return (symbolic.numbers(symbolic.each(_power_of_dim, a, b)),)
    if a.dtype.kind in "iu" and b.dtype.kind in "iu":
        return (_integer_power(a, b.astype(np.int64)),)
    with np.errstate(all="ignore"):
        return (rounded(np.power(a.astype(np.float64), b.astype(np.float64)), a.dtype),)


def _power_of_dim(a: Dim, b: Dim) -> Dim:
    if not isinstance(b, int) or b < 0:
        raise TypeError("a dimension raised to a symbolic or negative power")
    return reduce(lambda product, _: product * a, range(b), 1)


def _integer_power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    raised = np.power(a, np.maximum(b, 0).astype(a.dtype), dtype=a.dtype)
    odd = np.where(b % 2 == 0, 1, a)
    small = np.where((a == 1) | (a == -1), odd, 0)  # a^−n truncates to 0, but for ±1
    return np.where(b < 0, small, raised).astype(a.dtype)


@meaning("Mod")
def _mod(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    if symbolic.is_symbolic(a, b):
        return (symbolic.numbers(symbolic.each(lambda p, q: p - symbolic.divide(p, q) * q, a, b)),)
    function = np.fmod if call.attributes.get("fmod", 0) else np.mod
    if is_float(a.dtype):
        return (rounded(function(widened(a), widened(b)), a.dtype),)
    return (np.asarray(function(a, b)).astype(a.dtype, copy=False),)


@meaning("BitShift")
def _bit_shift(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    bits = a.dtype.itemsize * 8
    shift = np.left_shift if call.attributes["direction"] == "LEFT" else np.right_shift
    kept = shift(a, np.minimum(b, bits - 1).astype(b.dtype)).astype(a.dtype)
    empty = np.where(a < 0, -1, 0) if call.attributes["direction"] != "LEFT" and a.dtype.kind == "i" else 0
    return (np.where(b >= bits, empty, kept).astype(a.dtype),)  # C leaves shifts by the width undefined


def _variadic(op: str, function: Callable[[Any, Any], Any], dims: Callable[[Dim, Dim], Dim]) -> None:
    def compute(call: Call) -> tuple[np.ndarray]:
        if symbolic.is_symbolic(*call.inputs):
            return (symbolic.numbers(reduce(lambda a, b: symbolic.each(dims, a, b), call.inputs)),)
        first = np.asarray(call.inputs[0])
        return (np.asarray(reduce(function, call.inputs)).astype(first.dtype, copy=False),)

    meaning(op)(compute)


_variadic("Max", maximum, symbolic.larger)
_variadic("Min", minimum, symbolic.smaller)
_variadic("Sum", np.add, lambda a, b: a + b)


@meaning("Mean")
def _mean(call: Call) -> tuple[np.ndarray]:
    total = reduce(np.add, [widened(x) for x in call.inputs])
    return (rounded(total / len(call.inputs), call.inputs[0].dtype),)


@meaning("Clip")
def _clip(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    low, high = call.input(1), call.input(2)
    if call.version < 11:
        low, high = call.attributes.get("min"), call.attributes.get("max")
    if symbolic.is_symbolic(x, low, high):
        bounded = x if low is None else symbolic.each(symbolic.larger, x, low)
        return (bounded if high is None else symbolic.each(symbolic.smaller, bounded, high),)
    # the text: absent bounds are the type's lowest and largest finite numbers, and min > max gives max
    least, most = _limits(x.dtype)
    low = np.asarray(least if low is None else low).astype(x.dtype)
    high = np.asarray(most if high is None else high).astype(x.dtype)
    return (minimum(high, maximum(x, low)).astype(x.dtype, copy=False),)


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    if dtype.kind in "iu":
        return np.iinfo(dtype).min, np.iinfo(dtype).max
    if dtype.kind == "f":
        return np.finfo(dtype).min, np.finfo(dtype).max
    import ml_dtypes

    return ml_dtypes.finfo(dtype).min, ml_dtypes.finfo(dtype).max
