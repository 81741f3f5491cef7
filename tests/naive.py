"""Plain-loop twins of the kernels: the CPU's and the GPU's are compared with these alike.

Written for the reader: scalars of Python's math in float64, one element at a time, no vector, no trick.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices, accumulated in float64 and rounded once."""
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    c = np.zeros((rows, columns), a.dtype)
    for i in range(rows):
        for j in range(columns):
            c[i, j] = math.fsum(float(a[i, k]) * float(b[k, j]) for k in range(inner))
    return c


def elementwise(op: str, *arrays: np.ndarray, dtype: Any = None, **attributes: Any) -> np.ndarray:
    """An operator of the chain language on arrays that broadcast; `dtype` is the result's."""
    full = np.broadcast_shapes(*(a.shape for a in arrays))
    spread = [np.broadcast_to(a, full) for a in arrays]
    result = np.empty(full, dtype or arrays[-1].dtype)
    function = SCALAR[op]
    for index in np.ndindex(*full):
        result[index] = _fit(function(*(a[index].item() for a in spread), **attributes), result.dtype)
    return result


def _fit(value: Any, dtype: np.dtype) -> Any:
    """A Python number in a dtype: integers wrap, floats round."""
    if dtype.kind in "iu":
        bits = dtype.itemsize * 8
        value = int(value) % 2**bits
        return value - 2**bits if dtype.kind == "i" and value >= 2 ** (bits - 1) else value
    with np.errstate(over="ignore"):
        return dtype.type(value)


def _truncating(a: Any, b: Any) -> Any:
    if isinstance(a, int):
        return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return _divided(a, b)


def _divided(a: float, b: float) -> float:
    if b == 0:
        return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)
    return a / b


def _guarded(function: Callable[[float], float], below: float = math.nan) -> Callable[[float], float]:
    """A function of math with infinities and NaN where math raises: `below` at 0, NaN for other bad arguments."""

    def call(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf
        except ValueError:
            return below if x == 0 else math.nan

    return call


def _power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:
        if x == 0:
            return math.copysign(math.inf, x) if y % 2 == 1 else math.inf
        return math.nan


def _larger(a: Any, b: Any) -> Any:
    return math.nan if a != a or b != b else max(a, b)


def _smaller(a: Any, b: Any) -> Any:
    return math.nan if a != a or b != b else min(a, b)


def _sigmoid(x: float) -> float:
    if math.isnan(x):
        return x
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return x if math.isnan(x) else max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _expm1(x: float) -> float:
    return _guarded(math.expm1)(x)


def _round(x: float) -> float:
    return x if not math.isfinite(x) else math.copysign(float(round(x)), x)


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: x if not math.isfinite(x) else math.copysign(float(function(x)), x)


SCALAR: dict[str, Callable[..., Any]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "Div": _truncating,
    "Mod": lambda a, b, fmod=0: 0 if b == 0 else (a - _truncating(a, b) * b if fmod else a % b),
    "Pow": _power,
    "Max": _larger,
    "Min": _smaller,
    "Neg": lambda x: -x,
    "Abs": abs,
    "Sign": lambda x: x if x != x else (x > 0) - (x < 0),
    "Sqrt": _guarded(math.sqrt),
    "Reciprocal": lambda x: _divided(1.0, x),
    "Exp": _guarded(math.exp),
    "Log": _guarded(math.log, -math.inf),
    "Sin": _guarded(math.sin),
    "Cos": _guarded(math.cos),
    "Tan": _guarded(math.tan),
    "Atan": math.atan,
    "Tanh": math.tanh,
    "Sigmoid": _sigmoid,
    "Erf": math.erf,
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + abs(x)),
    "Mish": lambda x: x * math.tanh(_softplus(x)),
    "HardSwish": lambda x: x * _smaller(_larger(x / 6 + 0.5, 0.0), 1.0),
    "HardSigmoid": lambda x, alpha, beta: _smaller(_larger(alpha * x + beta, 0.0), 1.0),
    "Relu": lambda x: x if x != x else max(x, 0),
    "PRelu": lambda x, slope: x * slope if x < 0 else x,
    "LeakyRelu": lambda x, alpha: x * alpha if x < 0 else x,
    "Elu": lambda x, alpha: _expm1(x) * alpha if x < 0 else x,
    "Celu": lambda x, alpha: _expm1(x / alpha) * alpha if x < 0 else x,
    "Selu": lambda x, alpha, gamma: gamma * (_expm1(x) * alpha if x < 0 else x),
    "ThresholdedRelu": lambda x, alpha: x if x > alpha else 0.0,
    "Swish": lambda x, alpha: x * _sigmoid(alpha * x),
    "Gelu": lambda x, approximate: (
        0.5 * x * (1 + math.erf(x / math.sqrt(2)))
        if approximate == "none"
        else 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    ),
    "Shrink": lambda x, bias, lambd: x + bias if x < -lambd else x - bias if x > lambd else 0,
    "Floor": _whole(math.floor),
    "Ceil": _whole(math.ceil),
    "Round": _round,
    "IsNaN": lambda x: x != x,
    "IsInf": lambda x, detect_negative, detect_positive: (
        (x == math.inf and detect_positive == 1) or (x == -math.inf and detect_negative == 1)
    ),
    "Not": lambda x: not x,
    "And": lambda a, b: a and b,
    "Or": lambda a, b: a or b,
    "Xor": lambda a, b: a != b,
    "Equal": lambda a, b: a == b,
    "Less": lambda a, b: a < b,
    "Greater": lambda a, b: a > b,
    "LessOrEqual": lambda a, b: a <= b,
    "GreaterOrEqual": lambda a, b: a >= b,
    "Where": lambda condition, a, b: a if condition else b,
    "Clip": lambda x, low, high: _smaller(_larger(x, low), high),
    "BitwiseNot": lambda x: ~x,
    "BitwiseAnd": lambda a, b: a & b,
    "BitwiseOr": lambda a, b: a | b,
    "BitwiseXor": lambda a, b: a ^ b,
    "BitShift": lambda a, b, direction: a << b if direction == "LEFT" else a >> b,
    "Identity": lambda x: x,
}
"""By operator: the meaning for Python scalars, with every attribute given."""


def reduce(op: str, x: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """A Reduce operator over some axes, which stay with size 1; floats are accumulated in float64."""
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    groups: dict[tuple[int, ...], list[Any]] = {index: [] for index in np.ndindex(*shape)}
    for index in np.ndindex(*x.shape):
        groups[tuple(0 if axis in axes else i for axis, i in enumerate(index))].append(x[index].item())
    result = np.empty(shape, x.dtype)
    for index, values in groups.items():
        result[index] = _fit(REDUCE[op](values, x.dtype), x.dtype)
    return result


def _total(values: list[Any]) -> Any:
    return sum(values[1:], values[0]) if values else 0


def _extreme(values: list[Any], pick: Callable[[Any, Any], Any], empty: Any) -> Any:
    for value in values:
        empty = pick(empty, value)
    return empty


def _limit(dtype: np.dtype, high: bool) -> Any:
    if dtype.kind == "f":
        return math.inf if high else -math.inf
    info = np.iinfo(dtype)
    return int(info.max if high else info.min)


def _averaged(values: list[Any], dtype: np.dtype) -> Any:
    if dtype.kind == "f":
        return _divided(float(_total(values)), float(len(values)))
    return _truncating(int(_fit(_total(values), dtype)), len(values))


REDUCE: dict[str, Callable[[list[Any], np.dtype], Any]] = {
    "ReduceSum": lambda v, d: _total(v),
    "ReduceMean": _averaged,
    "ReduceL1": lambda v, d: _total([abs(x) for x in v]),
    "ReduceL2": lambda v, d: math.sqrt(_total([x * x for x in v])),
    "ReduceSumSquare": lambda v, d: _total([x * x for x in v]),
    "ReduceLogSum": lambda v, d: _guarded(math.log, -math.inf)(_total(v)),
    "ReduceProd": lambda v, d: math.prod(v),
    "ReduceMax": lambda v, d: _extreme(v, _larger, _limit(d, False)),
    "ReduceMin": lambda v, d: _extreme(v, _smaller, _limit(d, True)),
}
"""By operator: of the values that become one, and their dtype."""


def softmax(x: np.ndarray, axis: int, logarithm: bool = False) -> np.ndarray:
    """Softmax (or its logarithm) along an axis, in float64, rounded once."""
    result = np.empty_like(x)
    lines = np.moveaxis(x, axis, -1)
    written = np.moveaxis(result, axis, -1)
    for index in np.ndindex(*lines.shape[:-1]):
        line = [float(v) for v in lines[index]]
        largest = max((v for v in line if v == v), default=math.nan)
        powers = [math.nan if math.isnan(v - largest) else math.exp(v - largest) for v in line]
        total = math.fsum(powers)
        logs = [v - largest - math.log(total) for v in line] if logarithm else []
        written[index] = logs if logarithm else [p / total for p in powers]
    return result


def normalize(
    x: np.ndarray, axis: int, scale: np.ndarray | None, bias: np.ndarray | None, epsilon: float
) -> np.ndarray:
    """Zero mean and unit variance over the axes from `axis` on, then scale and bias; in float64."""
    wide = x.astype(np.float64)
    result = np.empty_like(wide)
    for index in np.ndindex(*x.shape[:axis]):
        row = wide[index]
        mean = math.fsum(row.ravel()) / row.size
        variance = math.fsum((v - mean) ** 2 for v in row.ravel()) / row.size
        result[index] = (row - mean) / math.sqrt(variance + epsilon)
    result = result if scale is None else result * scale
    return result if bias is None else result + bias


def pool(op: str, x: np.ndarray, outputs: tuple[int, ...], attributes: dict[str, Any]) -> np.ndarray:
    """MaxPool, AveragePool or LpPool (p = 2), every attribute given; `outputs` is the spatial shape of the result."""
    rank = len(outputs)
    pads, sizes = attributes["pads"], x.shape[2:]
    result = np.empty((*x.shape[:2], *outputs), np.float64)
    for index in np.ndindex(*result.shape):
        values: list[float] = []
        counted = 0
        for position in np.ndindex(*attributes["kernel_shape"]):
            steps = zip(index[2:], attributes["strides"], position, attributes["dilations"], pads[:rank], strict=True)
            at = [i * s + p * d - b for i, s, p, d, b in steps]
            if all(0 <= a < n for a, n in zip(at, sizes, strict=True)):
                values.append(float(x[(*index[:2], *at)]))
            inside = zip(at, sizes, pads[:rank], pads[rank:], strict=True)
            counted += all(-b <= a < n + c for a, n, b, c in inside)
        if op == "MaxPool":
            result[index] = max(values, default=-math.inf)
        elif op == "LpPool":
            result[index] = math.sqrt(sum(v * v for v in values))
        else:
            number = counted if attributes["count_include_pad"] else len(values)
            result[index] = _divided(sum(values), number)
    return result.astype(x.dtype)
