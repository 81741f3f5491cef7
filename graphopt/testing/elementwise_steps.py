"""Steps that add elementwise operators, comparisons and casts."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from graphopt.ir.dtype import DType
from graphopt.ir.graph import Value
from graphopt.testing.build import FLOATS, NUMBERS, ODD, Builder, dtype_of, shape_of

_FLOAT_UNARY = (
    *("Relu", "Neg", "Identity", "Abs", "Sigmoid", "Tanh", "Exp", "Sqrt", "Erf", "Floor", "Ceil", "Round", "Sign"),
    *("Reciprocal", "LeakyRelu", "HardSigmoid", "HardSwish", "Softplus", "Gelu", "Log"),
)


def unary(b: Builder) -> None:
    """An operator of one input, now and then applied twice."""
    x = b.number((*NUMBERS, DType.BOOL))
    if x is None:
        return
    dtype = dtype_of(x)
    if dtype is DType.BOOL:
        ops: tuple[str, ...] = ("Not", "Identity")
    else:
        ops = _FLOAT_UNARY if dtype in FLOATS else ("Neg", "Identity", "Abs", "Sign")
    op = b.draw(st.sampled_from(ops))
    for _ in range(b.draw(st.sampled_from((1, 1, 2)))):
        x = b.add(op, [x], dtype, shape_of(x))


def binary(b: Builder) -> None:
    """Arithmetic with a constant, with the value itself, or with another value of the same type."""
    x = b.number()
    if x is None:
        return
    ops = ["Add", "Mul", "Sub", "Max", "Min"]
    other = b.draw(st.sampled_from(("constant", "itself", "value", "row")))
    if dtype_of(x) in FLOATS:
        ops += ["Div", "Pow"] if other == "constant" else ["Div"]
    elif other == "constant":
        ops = ["Div", "Add", "Mul", "Div", "Max"]
    y = _partner(b, x, other)
    op = b.draw(st.sampled_from(ops))
    if op == "Div" and dtype_of(x) not in FLOATS:
        y = b.constant(b.draw(st.sampled_from((2, -2, 3))), dtype_of(x))  # integers have no 1/0
    operands = [x, y] if op == "Pow" or b.draw(st.booleans()) else [y, x]
    if op == "Div" and dtype_of(x) not in FLOATS:
        operands = [x, y]
    b.add(op, operands, dtype_of(x), shape_of(x))


def _partner(b: Builder, x: Value, kind: str) -> Value:
    same = [v for v in b.pool if v.type == x.type]
    if kind == "itself":
        return x
    if kind == "value" and same:
        return b.draw(st.sampled_from(same[::-1]))
    last = shape_of(x)[-1:]
    if kind == "row" and last and isinstance(last[0], int):
        return b.weights([last[0]], dtype_of(x))
    shape = b.draw(st.sampled_from(((), (1,)))) if shape_of(x) else ()
    number = b.draw(st.sampled_from(ODD))
    return b.constant([number] if shape else number, dtype_of(x))


def compare(b: Builder) -> None:
    """A comparison with a constant, and perhaps a choice by it."""
    x = b.number()
    if x is None:
        return
    op = b.draw(st.sampled_from(("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual")))
    limit = b.constant(b.draw(st.sampled_from((0.0, 1.0, -1.0))), dtype_of(x))
    condition = b.add(op, [x, limit], DType.BOOL, shape_of(x))
    if b.draw(st.booleans()):
        b.add("Where", [condition, x, _partner(b, x, "constant")], dtype_of(x), shape_of(x))


def clip(b: Builder) -> None:
    """Clip with either bound, both, or bounds that cross."""
    x = b.number(FLOATS)
    if x is None:
        return
    low, high = b.draw(st.sampled_from(((0.0, 6.0), (0.0, None), (None, 1.0), (-1.0, 1.0), (2.0, -2.0))))
    bounds = [None if v is None else b.constant(v, dtype_of(x)) for v in (low, high)]
    b.add("Clip", [x, *bounds], dtype_of(x), shape_of(x))


def cast(b: Builder) -> None:
    """A cast, and perhaps back; never a float outside the range of integers, which is undefined."""
    x = b.number((*NUMBERS, DType.BOOL))
    if x is None:
        return
    allowed = FLOATS if dtype_of(x) in FLOATS else (*NUMBERS, DType.BOOL)
    to = b.draw(st.sampled_from([d for d in allowed if d in b.dtypes] or [dtype_of(x)]))
    y = b.add("Cast", [x], to, shape_of(x), {"to": int(to)})
    if b.draw(st.booleans()) and (to not in FLOATS or dtype_of(x) in FLOATS):
        b.add("Cast", [y], dtype_of(x), shape_of(x), {"to": int(dtype_of(x))})


def scale_and_shift(b: Builder) -> None:
    """x · a + b with constants, the form in which exporters leave normalisations."""
    x = b.number(FLOATS)
    if x is None:
        return
    numbers = [b.draw(st.sampled_from(ODD)), b.draw(st.sampled_from((*ODD, math.pi)))]
    scale, shift = (b.constant(number, dtype_of(x)) for number in numbers)
    scaled = b.add("Mul", [x, scale], dtype_of(x), shape_of(x))
    b.add("Add", [scaled, shift], dtype_of(x), shape_of(x))
