"""What each operator of a chain does to vectors of lanes: ONNX's meaning, as formulas.

Comparisons with NaN are false and Max, Min, Clip and Relu keep NaN, as in numpy.  Integers wrap; integer division
truncates towards zero, as ONNX Runtime has it, and x / 0 is 0 instead of a trap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import numpy as np

from graphopt_kernels.chain import Chain, Literal, Step
from graphopt_kernels.cpu import approximate as math_of
from graphopt_kernels.cpu.lanes import UNSIGNED, Lanes, bits_of, each_lane

Emit = Callable[[Step, list[Lanes | None]], Lanes]


def quotient(a: Lanes, b: Lanes, remainder: bool = False) -> Lanes:
    """a / b (or the remainder with a's sign); for integers safe: 0 where b is 0, wrapping where it overflows."""
    if a.is_float:
        return a % b if remainder else a / b
    zero = b.equals(0)
    unsafe = zero | b.equals(-1) if a.is_signed else zero
    divisor = unsafe.where(1, b)
    if remainder:
        return unsafe.where(0, a % divisor)
    result = a / divisor
    if a.is_signed:
        result = b.equals(-1).where(-a, result)
    return zero.where(0, result)


def _modulo(step: Step, args: list[Lanes]) -> Lanes:
    a, b = args
    rest = quotient(a, b, remainder=True)
    if step.attribute("fmod") or a.dtype in UNSIGNED:
        return rest
    wrong = rest.differs(0) & (rest ^ b).lt(0)
    return wrong.where(rest + b, rest)


def _power(step: Step, args: list[Lanes]) -> Lanes:
    x, y = args
    exponent = step.arguments[1]
    if isinstance(exponent, Literal) and exponent.value == 2:
        return x * x
    if isinstance(exponent, Literal) and exponent.value == 1:
        return x
    if isinstance(exponent, Literal) and exponent.value == 0.5 and x.is_float:
        root = (x + 0.0).sqrt()  # pow(-0, 0.5) is +0
        return x.equals(-math.inf).where(math.inf, root)
    if not x.is_float and not y.is_float:
        return math_of.power_of_integers(x, y.to(x.dtype))
    if not x.is_float:
        return math_of.pow(x.to("float64"), y.to("float64")).to(x.dtype)
    return math_of.pow(x, y.to(x.dtype))


def _relu(x: Lanes) -> Lanes:
    return x.le(0).where(0, x)


def _sign(x: Lanes) -> Lanes:
    positive = x.gt(0).where(x.const(1), 0)
    if x.dtype in UNSIGNED:
        return positive
    signed = x.lt(0).where(x.const(-1), positive)
    return x.is_nan().where(x, signed) if x.is_float else signed


def _clip(args: list[Lanes | None]) -> Lanes:
    x, low, high = (*args, None, None)[:3]
    assert x is not None
    if x.is_float:  # ONNX: a bound that is left out is the type's lowest or largest finite number
        limits = np.finfo(x.dtype)
        low = x.const(float(limits.min)) if low is None else low
        high = x.const(float(limits.max)) if high is None else high
    if low is not None:
        x = x.maximum(low)
    return x if high is None else x.minimum(high)


def _hard_sigmoid(x: Lanes, alpha: float, beta: float) -> Lanes:
    return x.fma(alpha, beta).maximum(x.const(0)).minimum(x.const(1))


def _gelu(step: Step, x: Lanes) -> Lanes:
    if step.attribute("approximate") == "tanh":
        inner = math_of.tanh((x * x * x * 0.044715 + x) * math.sqrt(2 / math.pi))
        return x * 0.5 * (inner + 1.0)
    return x * 0.5 * (math_of.erf(x * math.sqrt(0.5)) + 1.0)


def _is_inf(step: Step, x: Lanes) -> Lanes:
    found = x.const(0, "bool")
    if step.attribute("detect_positive"):
        found = found | x.equals(math.inf)
    return found | x.equals(-math.inf) if step.attribute("detect_negative") else found


def _shift(step: Step, args: list[Lanes]) -> Lanes:
    x, count = args
    fits = count.lt(bits_of(x.dtype))
    safe = fits.where(count, 0)
    return fits.where(x << safe if step.attribute("direction") == "LEFT" else x >> safe, 0)


def _below(x: Lanes, negative: Lanes) -> Lanes:
    return x.lt(0.0).where(negative, x)


def _shrink(step: Step, x: Lanes) -> Lanes:
    bias, limit = step.attribute("bias"), step.attribute("lambd")
    if not x.is_float:
        wide = _shrink(step, x.to("float64"))
        return wide.to(x.dtype)
    return x.lt(-limit).where(x + bias, x.gt(limit).where(x - bias, 0.0))


_UNARY: dict[str, Callable[[Lanes], Lanes]] = {
    "Identity": lambda x: x,
    "Neg": lambda x: -x,
    "Abs": Lanes.magnitude,
    "Sign": _sign,
    "Sqrt": Lanes.sqrt,
    "Reciprocal": lambda x: 1.0 / x,
    "Exp": math_of.exp,
    "Log": math_of.log,
    "Sin": math_of.sin,
    "Cos": math_of.cos,
    "Tanh": math_of.tanh,
    "Sigmoid": math_of.sigmoid,
    "Erf": math_of.erf,
    "Softplus": math_of.softplus,
    "Softsign": lambda x: x / (x.magnitude() + 1.0),
    "Mish": lambda x: x * math_of.tanh(math_of.softplus(x)),
    "HardSwish": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "Relu": _relu,
    "Floor": lambda x: x.call("floor"),
    "Ceil": lambda x: x.call("ceil"),
    "Round": lambda x: x.call("roundeven"),
    "IsNaN": Lanes.is_nan,
    "Not": Lanes.__invert__,
    "BitwiseNot": Lanes.__invert__,
    **{
        name: partial(each_lane, name.lower())
        for name in ("Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh")
    },
}
_BINARY: dict[str, Callable[[Lanes, Lanes], Lanes]] = {
    "Add": Lanes.__add__,
    "Sub": Lanes.__sub__,
    "Mul": Lanes.__mul__,
    "Div": quotient,
    "Max": Lanes.maximum,
    "Min": Lanes.minimum,
    "Sum": Lanes.__add__,
    "PRelu": lambda x, slope: x.lt(0).where(x * slope, x),
    "And": Lanes.__and__,
    "Or": Lanes.__or__,
    "Xor": Lanes.__xor__,
    "BitwiseAnd": Lanes.__and__,
    "BitwiseOr": Lanes.__or__,
    "BitwiseXor": Lanes.__xor__,
    "Equal": Lanes.equals,
    "Less": Lanes.lt,
    "Greater": Lanes.gt,
    "LessOrEqual": Lanes.le,
    "GreaterOrEqual": Lanes.ge,
}
_OTHER: dict[str, Callable[[Step, list[Any]], Lanes]] = {
    "Mean": lambda step, args: (
        reduce(Lanes.__add__, args) * (1.0 / len(args)) if len(args) in (1, 2, 4) else _mean(args)
    ),
    "Where": lambda step, args: args[0].where(args[1], args[2]),
    "Clip": lambda step, args: _clip(args),
    "Pow": _power,
    "Mod": _modulo,
    "BitShift": _shift,
    "IsInf": lambda step, args: _is_inf(step, args[0]),
    "Cast": lambda step, args: args[0].to(step.dtype),
    "Gelu": lambda step, args: _gelu(step, args[0]),
    "LeakyRelu": lambda step, args: _below(args[0], args[0] * step.attribute("alpha")),
    "Elu": lambda step, args: _below(args[0], math_of.expm1(args[0]) * step.attribute("alpha")),
    "Celu": lambda step, args: _below(
        args[0], math_of.expm1(args[0] / step.attribute("alpha")) * step.attribute("alpha")
    ),
    "Selu": lambda step, args: (
        _below(args[0], math_of.expm1(args[0]) * step.attribute("alpha")) * step.attribute("gamma")
    ),
    "ThresholdedRelu": lambda step, args: args[0].gt(step.attribute("alpha")).where(args[0], 0.0),
    "Swish": lambda step, args: args[0] * math_of.sigmoid(args[0] * step.attribute("alpha")),
    "HardSigmoid": lambda step, args: _hard_sigmoid(args[0], step.attribute("alpha"), step.attribute("beta")),
    "Shrink": lambda step, args: _shrink(step, args[0]),
}


def _mean(args: list[Lanes]) -> Lanes:
    return reduce(Lanes.__add__, args) / float(len(args))


def evaluate(chain: Chain, inputs: list[Lanes]) -> list[Lanes]:
    """The outputs of a chain for one vector of each input; float16 is computed in float32 and rounded at each step."""
    values = list(inputs)
    for step in chain.steps:
        args: list[Lanes | None] = [
            values[a] if isinstance(a, int) else None if a is None else inputs[0].const(a.value, a.dtype)
            for a in step.arguments
        ]
        wide = [a.to("float32") if a is not None and a.dtype == "float16" and step.op != "Cast" else a for a in args]
        values.append(_apply(step, wide).to(step.dtype))
    return [values[position] for position in chain.outputs]


def _apply(step: Step, args: list[Any]) -> Lanes:
    if step.op in _UNARY:
        return _UNARY[step.op](args[0])
    if step.op in _BINARY:
        return reduce(_BINARY[step.op], args)
    return _OTHER[step.op](step, args)
