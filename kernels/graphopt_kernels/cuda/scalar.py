"""The scalar formulas of elementwise operators, as source text for CUDA kernels; operators have ONNX's meaning."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba import types

Formula = Callable[[list[str], dict[str, Any]], str]
"""From the operands' names and the attributes to an expression."""

NUMBA: dict[str, Any] = {
    "bool": types.boolean,
    **{name: getattr(types, name) for name in ("float32", "float64", "int8", "int16", "int32", "int64")},
    **{name: getattr(types, name) for name in ("uint8", "uint16", "uint32", "uint64")},
}
"""By dtype: Numba's type, which is also its conversion."""

SCOPE: dict[str, Any] = {"math": math, **{f"types_{name}": kind for name, kind in NUMBA.items()}}
"""What the formulas refer to."""


def _call(name: str) -> Formula:
    return lambda x, _: f"math.{name}({x[0]})"


def _infix(sign: str) -> Formula:
    return lambda x, _: f"({x[0]} {sign} {x[1]})"


def _sigmoid(x: str) -> str:
    return f"(1.0 / (1.0 + math.exp(-{x})) if {x} >= 0 else math.exp({x}) / (1.0 + math.exp({x})))"


def _pick(sign: str) -> Formula:
    """The larger or smaller of two, NaN where either is NaN."""
    return lambda x, _: f"({x[0]} if {x[0]} {sign} {x[1]} or {x[0]} != {x[0]} else {x[1]})"


def _within_one(x: str) -> str:
    """Clamped to [0, 1]; NaN stays."""
    return f"(0.0 if {x} < 0.0 else 1.0 if {x} > 1.0 else {x})"


def _clip(x: list[str], _: dict[str, Any]) -> str:
    made = x[0]
    if len(x) > 1 and x[1]:
        made = _pick(">")([made, x[1]], {})
    return _pick("<")([made, x[2]], {}) if len(x) > 2 and x[2] else made


def _gelu(x: list[str], attributes: dict[str, Any]) -> str:
    if attributes["approximate"] == "tanh":
        inner = f"math.tanh({math.sqrt(2 / math.pi)!r} * ({x[0]} + 0.044715 * {x[0]} * {x[0]} * {x[0]}))"
        return f"(0.5 * {x[0]} * (1.0 + {inner}))"
    return f"(0.5 * {x[0]} * (1.0 + math.erf({x[0]} * {math.sqrt(0.5)!r})))"


FORMULAS: dict[str, Formula] = {
    "Identity": lambda x, _: x[0],
    "Cast": lambda x, _: x[0],
    "Add": _infix("+"),
    "Sub": _infix("-"),
    "Mul": _infix("*"),
    "Div": lambda x, _: f"({x[0]} / {x[1]})",
    "Max": _pick(">"),
    "Min": _pick("<"),
    "Equal": _infix("=="),
    "Less": _infix("<"),
    "Greater": _infix(">"),
    "LessOrEqual": _infix("<="),
    "GreaterOrEqual": _infix(">="),
    "And": _infix("and"),
    "Or": _infix("or"),
    "Xor": _infix("!="),
    "Not": lambda x, _: f"(not {x[0]})",
    "Neg": lambda x, _: f"(-{x[0]})",
    "Abs": lambda x, _: f"abs({x[0]})",
    "Reciprocal": lambda x, _: f"(1.0 / {x[0]})",
    "Sqrt": _call("sqrt"),
    "Exp": _call("exp"),
    "Log": _call("log"),
    "Sin": _call("sin"),
    "Cos": _call("cos"),
    "Tanh": _call("tanh"),
    "Erf": _call("erf"),
    "Floor": _call("floor"),
    "Ceil": _call("ceil"),
    "Sigmoid": lambda x, _: _sigmoid(x[0]),
    "Relu": lambda x, _: f"(0.0 if {x[0]} <= 0 else {x[0]})",
    "LeakyRelu": lambda x, a: f"({x[0]} * {a['alpha']!r} if {x[0]} < 0 else {x[0]})",
    "Elu": lambda x, a: f"(math.expm1({x[0]}) * {a['alpha']!r} if {x[0]} < 0 else {x[0]})",
    "PRelu": lambda x, _: f"({x[0]} * {x[1]} if {x[0]} < 0 else {x[0]})",
    "HardSigmoid": lambda x, a: _within_one(f"({x[0]} * {a['alpha']!r} + {a['beta']!r})"),
    "HardSwish": lambda x, _: f"({x[0]} * {_within_one(f'({x[0]} / 6.0 + 0.5)')})",
    "Softsign": lambda x, _: f"({x[0]} / (1.0 + abs({x[0]})))",
    "Softplus": lambda x, _: f"(max({x[0]}, 0.0) + math.log1p(math.exp(-abs({x[0]}))))",
    "Pow": lambda x, _: f"math.pow({x[0]}, {x[1]})",
    "Where": lambda x, _: f"({x[1]} if {x[0]} else {x[2]})",
    "Clip": _clip,
    "IsNaN": lambda x, _: f"({x[0]} != {x[0]})",
    "Gelu": _gelu,
}
"""By operator; those missing have no CUDA kernel yet."""
REAL_ONLY = frozenset(("Div", "Pow"))
"""Operators whose formula is that of floats."""
