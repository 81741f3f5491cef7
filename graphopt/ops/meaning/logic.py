"""Comparison and logic: results are bool, inputs broadcast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphopt.ir.dim import Dim
from graphopt.ops.meaning import symbolic
from graphopt.ops.table import Call, meaning


def _compare(op: str, function: Callable[..., Any], dims: Callable[[Dim, Dim], bool] | None = None) -> None:
    def compute(call: Call) -> tuple[np.ndarray]:
        a, b = call.inputs
        if symbolic.is_symbolic(a, b):
            if dims is None:
                raise TypeError(f"{op} is not defined on symbolic dimensions")
            return (symbolic.decided(symbolic.each(dims, a, b)),)
        return (np.asarray(function(a, b)).astype(np.bool_),)

    meaning(op)(compute)


_compare("Equal", np.equal, symbolic.equal)
_compare("Less", np.less, symbolic.less)
_compare("Greater", np.greater, lambda a, b: symbolic.less(b, a))
_compare("LessOrEqual", np.less_equal, lambda a, b: not symbolic.less(b, a))
_compare("GreaterOrEqual", np.greater_equal, lambda a, b: not symbolic.less(a, b))
_compare("And", np.logical_and)
_compare("Or", np.logical_or)
_compare("Xor", np.logical_xor)


@meaning("Where")
def _where(call: Call) -> tuple[np.ndarray]:
    condition, a, b = call.inputs
    if symbolic.is_symbolic(condition):
        raise TypeError("the condition is symbolic")
    if symbolic.is_symbolic(a, b):
        chosen = [p if c else q for c, p, q in _broadcast(condition, a, b)]
        return (symbolic.numbers(symbolic.objects(chosen, np.broadcast_shapes(condition.shape, a.shape, b.shape))),)
    return (np.where(condition, a, b),)


def _broadcast(condition: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[tuple[Any, Dim, Dim]]:
    wide = np.broadcast_arrays(condition, a, b)
    rows = zip(*(x.ravel() for x in wide), strict=True)
    return [(c, symbolic.dim(p), symbolic.dim(q)) for c, p, q in rows]
