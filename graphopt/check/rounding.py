"""How far rounding alone may move each output of a graph: the tolerance of `reassociate`, derived and not chosen.

The reference is run again several times with each operator's result disturbed at random by as much as a right kernel
may be off, and the spread of the outputs is measured.  What an operator may be off by, in units u of its output type:

* it only moves elements, or is not of floats: nothing;
* elementwise: 2u of each result (the rounding, and 1 ulp that an approximation of exp or tanh may lose);
* an accumulation of n terms in any order (products of matrices, convolutions, sums): 4u·√n·Σ|terms|, the
  probabilistic bound of Higham & Mary (SIAM J. Sci. Comput. 41(5), 2019), which 4 makes hold but for about 10⁻³;
* anything else (normalisation, softmax, recurrent): its inputs disturbed by 2u as well, which shows where it cancels.

Conditioning, cancellation and discrete jumps (ArgMax, rounding to integers) are thus measured on the graph and inputs
at hand.  With s the root mean square of an element's spread over the runs, the element may be off by 6s: both sides
round, and six deviations leave nothing to chance.  Where a graph is too large for many runs, s is an estimate from
four and is not taken smaller than its root mean square over the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.interpreter import bind, evaluate
from graphopt.ops.facts import facts_of
from graphopt.ops.meaning.precision import is_float
from graphopt.ops.table import Call

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph

_FEW, _MANY = 4, 16
_LARGE = 100_000
_DEVIATIONS = 6.0
_ACCUMULATING = frozenset(
    {"MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose", "DeformConv", "CausalConvWithState", "FusedMatMul"}
    | {"ReduceSum", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "CumSum", "Mean", "Sum"}
    | {"AveragePool", "GlobalAveragePool", "DFT", "STFT", "Resize"}
)


def allowances(graph: Graph, feeds: Mapping[str, Any], outputs: Mapping[str, Any], seed: int = 0) -> dict[str, Any]:
    """What each output, given as the reference computed it, may be off by: an array, 0 where rounding cannot reach.

    None for outputs that are not tensors of numbers.
    """
    bound = bind(graph, feeds)
    count = _MANY if _elements(graph, bound.values()) < _LARGE else _FEW
    sizes: dict[tuple[int, str, tuple[int, ...]], np.ndarray] = {}
    disturbances = [Disturbance(np.random.default_rng([seed, run]), sizes) for run in range(count)]
    runs = [evaluate(graph, bound, {}, graph.opsets, disturb=disturb) for disturb in disturbances]
    names = enumerate(graph.output_names)
    return {name: _allowance(outputs[name], [run[i] for run in runs]) for i, name in names}


def _elements(graph: Graph, fed: Iterable[Any]) -> int:
    constants = (value.constant.shape for value in graph.values() if value.constant is not None)
    return sum(np.size(v) for v in fed) + sum(math.prod(shape) for shape in constants)


def _allowance(reference: Any, runs: list[Any]) -> np.ndarray | None:
    if not isinstance(reference, (np.ndarray, np.generic)) or reference.dtype.kind in "OUS":
        return None
    kind = np.complex128 if reference.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        centre = np.asarray(reference).astype(kind)
        near = [np.asarray(run).astype(kind) for run in runs if np.shape(run) == reference.shape]
        if not near:
            return None
        off = np.abs(np.stack(near) - centre)
        if not is_float(reference.dtype) and reference.dtype.kind != "c":
            return np.max(off, axis=0)
        finite = np.isfinite(centre)
        jumps = np.any(np.isfinite(np.stack(near)) != finite, axis=0)
        spread = np.sqrt(np.mean(np.square(off), axis=0))
        usable = finite & np.isfinite(spread)
        spread = np.where(usable, spread, 0.0)
        if len(near) < _MANY and usable.any():
            spread = np.maximum(spread, math.sqrt(float(np.mean(np.square(spread), where=usable))))
        return np.where(jumps, np.inf, _DEVIATIONS * spread)


class Disturbance:
    """Runs operators with results off by as much as rounding allows.

    `sizes` keeps Σ|terms| of each accumulation, by its place in the run, for the runs that come after.
    """

    def __init__(self, rng: np.random.Generator, sizes: dict[tuple[int, str, tuple[int, ...]], np.ndarray]) -> None:
        self._rng = rng
        self._sizes = sizes
        self._place = 0

    def __call__(self, call: Call) -> tuple[Any, ...]:
        self._place += 1
        facts = facts_of(call.op, call.domain)
        if facts is not None and not facts.deterministic:
            return run_call(call)
        if facts is not None and (facts.moves or facts.shape_only):
            return run_call(call)
        if call.op in _ACCUMULATING:
            return self._accumulated(call)
        if facts is None or not facts.elementwise:
            call = Call(call.op, call.domain, call.version, call.attributes, self._moved(call.inputs), call.outputs)
        return self._moved(run_call(call))

    def _moved(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._off(v, np.abs(_wide(v)) * 2.0 * _unit(v)) if _rounds(v) else v for v in values)

    def _accumulated(self, call: Call) -> tuple[Any, ...]:
        results = run_call(call)
        if not _rounds(results[0]):
            return results
        key = (self._place, call.op, results[0].shape)
        if key not in self._sizes:
            sizes = tuple(np.abs(v) if _rounds(v) else v for v in call.inputs)
            positive = Call(call.op, call.domain, call.version, _positive(call), sizes, call.outputs)
            self._sizes[key] = np.asarray(run_call(positive)[0])
        magnitude = self._sizes[key]
        scale = 4.0 * _unit(results[0]) * math.sqrt(_terms(call, results[0]))
        first = self._off(results[0], np.abs(_wide(magnitude)) * scale)
        return (first, *self._moved(results[1:]))

    def _off(self, value: np.ndarray, by: np.ndarray) -> np.ndarray:
        noise = self._rng.uniform(-1.0, 1.0, value.shape)
        with np.errstate(all="ignore"):
            off = np.where(np.isfinite(by), by, 0.0) * noise
            return (_wide(value) + off).astype(value.dtype)


def _rounds(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and is_float(np.asarray(value).dtype)


def _wide(value: Any) -> np.ndarray:
    return np.asarray(value).astype(np.float64)


def _unit(value: Any) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(np.asarray(value).dtype).eps) / 2


def _positive(call: Call) -> Mapping[str, Any]:
    return {k: abs(v) if k in ("alpha", "beta") and isinstance(v, float) else v for k, v in call.attributes.items()}


def _terms(call: Call, result: np.ndarray) -> int:
    """How many terms are added up in one element of the result."""
    shapes = [np.shape(v) for v in call.inputs]
    match call.op:
        case "Conv":
            terms = math.prod(shapes[1][1:])
        case "ConvTranspose":
            terms = shapes[1][0] * math.prod(shapes[1][2:])
        case "MatMul" | "FusedMatMul":
            terms = shapes[0][-1]
        case "Gemm":
            terms = shapes[0][0 if call.attributes.get("transA", 0) else 1]
        case "AveragePool":
            terms = math.prod(call.attributes["kernel_shape"])
        case "CumSum" | "Einsum":
            terms = max(max(shape, default=1) for shape in shapes)
        case "Sum" | "Mean":
            terms = len(shapes)
        case _:
            terms = math.prod(shapes[0]) // max(result.size, 1)
    return max(int(terms), 1) + 1
