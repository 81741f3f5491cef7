"""Reductions, running sums, and the search for extremes.

Sums of floats are made in float64 and rounded once; those of integers wrap around in their own type.  Reducing no
elements gives the neutral element (0, 1, and for Max and Min the ends of the type).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphopt.ops.meaning import symbolic
from graphopt.ops.meaning.operands import axes_of, axis_of, operand, scalar
from graphopt.ops.meaning.precision import is_float, rounded, widened
from graphopt.ops.table import Call, meaning

Axes = tuple[int, ...]


def _axes(call: Call, x: np.ndarray) -> Axes:
    axes = operand(call, "axes", 1)
    if not axes:
        return () if call.attributes.get("noop_with_empty_axes", 0) else tuple(range(x.ndim))
    return axes_of(axes, x.ndim)


def _reduce(op: str, function: Callable[[np.ndarray, Axes, bool], Any]) -> None:
    def compute(call: Call) -> tuple[np.ndarray]:
        x = call.inputs[0]
        kept = bool(call.attributes.get("keepdims", 1))
        if symbolic.is_symbolic(x) and op not in ("ReduceSum", "ReduceProd"):
            x = np.array(symbolic.ints(x), np.int64).reshape(x.shape)
        result = np.asarray(function(x, _axes(call, x), kept))
        return (result if x.dtype == object else rounded(result, x.dtype),)

    meaning(op)(compute)


def _wide(x: np.ndarray) -> np.ndarray:
    return widened(x) if is_float(x.dtype) else x.astype(np.float64)


def _sum(x: np.ndarray, axes: Axes, kept: bool) -> Any:
    return np.add.reduce(widened(x), axis=axes, keepdims=kept)


def _log_sum_exp(x: np.ndarray, axes: Axes, kept: bool) -> np.ndarray:
    wide = _wide(x)
    top = np.max(wide, axis=axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0.0)
    total = np.log(np.sum(np.exp(wide - top), axis=axes, keepdims=True)) + top
    return total if kept else total.reshape(np.sum(wide, axis=axes).shape)


def _mean(x: np.ndarray, axes: Axes, kept: bool) -> Any:
    if is_float(x.dtype):
        return np.mean(widened(x), axis=axes, keepdims=kept)
    total = np.add.reduce(x.astype(np.int64), axis=axes, keepdims=kept)
    count = int(np.prod([x.shape[i] for i in axes], dtype=np.int64))
    return np.sign(total) * (np.abs(total) // max(count, 1))  # truncates, like Div


def _extreme(largest: bool) -> Callable[[np.ndarray, Axes, bool], Any]:
    def reduce(x: np.ndarray, axes: Axes, kept: bool) -> Any:
        find = np.maximum if largest else np.minimum
        if x.dtype == np.bool_:
            return (np.any if largest else np.all)(x, axis=axes, keepdims=kept)
        if not is_float(x.dtype):
            ends = np.iinfo(x.dtype)
            return find.reduce(x, axis=axes, keepdims=kept, initial=ends.min if largest else ends.max)
        wide = widened(x)
        found = find.reduce(wide, axis=axes, keepdims=kept, initial=-np.inf if largest else np.inf)
        wanted = (wide == 0) & (np.signbit(wide) != largest)  # a zero of the preferred sign decides: −0 < +0
        signed = np.any(wanted, axis=axes, keepdims=kept) == largest
        return np.where(found == 0, np.where(signed, 0.0, -0.0), found)

    return reduce


_reduce("ReduceSum", _sum)
_reduce("ReduceMean", _mean)
_reduce("ReduceProd", lambda x, axes, kept: np.multiply.reduce(widened(x), axis=axes, keepdims=kept))
_reduce("ReduceSumSquare", lambda x, axes, kept: _sum(np.square(widened(x)), axes, kept))
_reduce("ReduceL1", lambda x, axes, kept: _sum(np.abs(widened(x)), axes, kept))
_reduce("ReduceL2", lambda x, axes, kept: np.sqrt(_sum(np.square(_wide(x)), axes, kept)))
_reduce("ReduceLogSum", lambda x, axes, kept: np.log(_sum(_wide(x), axes, kept)))
_reduce("ReduceLogSumExp", _log_sum_exp)
_reduce("ReduceMax", _extreme(largest=True))
_reduce("ReduceMin", _extreme(largest=False))


@meaning("ArgMax", "ArgMin")
def _arg_extreme(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    axis = axis_of(int(call.attributes.get("axis", 0)), max(x.ndim, 1))
    wide = np.atleast_1d(widened(x))
    find = np.argmax if call.op == "ArgMax" else np.argmin
    if call.attributes.get("select_last_index", 0):
        found = wide.shape[axis] - 1 - find(np.flip(wide, axis), axis=axis)
    else:
        found = find(wide, axis=axis)
    if call.attributes.get("keepdims", 1) and x.ndim:
        found = np.expand_dims(found, axis)
    return (np.asarray(found).astype(np.int64),)


@meaning("CumSum", "CumProd")
def _running(call: Call) -> tuple[np.ndarray]:
    x, axis = call.inputs[0], axis_of(int(scalar(call.inputs[1])), call.inputs[0].ndim)
    accumulate = np.add.accumulate if call.op == "CumSum" else np.multiply.accumulate
    wide = widened(x)
    wide = np.flip(wide, axis) if call.attributes.get("reverse", 0) else wide
    if call.attributes.get("exclusive", 0):
        first = np.full_like(np.take(wide, [0], axis), 0 if call.op == "CumSum" else 1)
        wide = np.concatenate([first, np.delete(wide, -1, axis)], axis) if x.shape[axis] else wide
    running = accumulate(wide, axis=axis)
    running = np.flip(running, axis) if call.attributes.get("reverse", 0) else running
    return (running if x.dtype == object else rounded(running, x.dtype),)


@meaning("TopK")
def _top_k(call: Call) -> tuple[np.ndarray, ...]:
    x = call.inputs[0]
    k = int(scalar(call.inputs[1])) if call.version >= 10 else int(call.attributes["k"])
    axis = axis_of(int(call.attributes.get("axis", -1)), x.ndim)
    wide = widened(x)
    if call.attributes.get("largest", 1):  # ties go to the lower index: flip, sort stably, read backwards
        order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(wide, axis), axis=axis, kind="stable"), axis)
    else:
        order = np.argsort(wide, axis=axis, kind="stable")
    best = np.take(order, np.arange(k), axis=axis)
    return (np.take_along_axis(x, best, axis), best.astype(np.int64))
