"""How far rounding alone may move each output of a graph: the tolerance of `reassociate`, derived and not chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.estimate import Estimate, epsilon
from graphopt.check.interpreter import bind
from graphopt.check.lockstep import Lockstep
from graphopt.check.propagate import Run
from graphopt.ops.meaning.precision import is_float

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph


def allowances(
    graph: Graph, feeds: Mapping[str, Any], outputs: Mapping[str, Any], run: Run = run_call
) -> dict[str, np.ndarray | None]:
    """What each output, given as the reference computed it, may be off by: 0 where rounding cannot reach.

    None for outputs that are not tensors of numbers.  `run` applies the operators; it may raise to end the search.
    """
    found = Lockstep(run).evaluate(graph, bind(graph, feeds))
    return {name: _allowed(outputs[name], result) for name, result in zip(graph.output_names, found, strict=True)}


def _allowed(reference: Any, result: Any) -> np.ndarray | None:
    if not isinstance(result, Estimate) or result.dtype.kind in "OUS" or np.shape(reference) != result.shape:
        return None
    error = np.zeros(result.shape) if result.error is None else result.error
    if not is_float(result.dtype):
        return error
    with np.errstate(all="ignore"):
        off = np.abs(np.asarray(reference).astype(np.float64) - result.value)
        half = epsilon(result.dtype) / 2 * np.abs(result.value)
    finite = np.isfinite(off) & np.isfinite(half)
    return error + np.where(finite, off + half, 0.0)
