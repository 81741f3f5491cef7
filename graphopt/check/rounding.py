"""How far rounding alone may move each output of a graph: the tolerance of `reassociate`, derived and not chosen.

The reference is run again with each operator's result disturbed, at random signs, by one standard deviation of what
a right kernel may be off by, and the spread of the outputs is measured.  With u the unit roundoff of the result:

* an operator that only moves, selects or casts elements, or is not of floats, is off by nothing;
* IEEE arithmetic (+, −, ×, ÷, √): by u, which a fused multiplication and addition or another order may save or add;
* elementwise otherwise: by 2u of each result (its rounding, and 1 ulp that an approximation of exp or tanh may lose);
* an accumulation of n terms t in an order nobody promised: each partial sum s is rounded, by u/√3 of it as a
  deviation; with terms in random order E Σs² ≤ n·(Σt² + 2(Σt)²)/6 (Higham & Mary, SIAM J. Sci. Comput. 41(5), 2019,
  and for data of both signs 42(5), 2020).  With the rounding of the products and of the result the deviation is
  u/√3·√(n·(Σt² + 2(Σt)²)/6 + Σt² + (Σt)²);
* of these, an addition is off by no more than its smaller operand, and a product with a power of two by nothing;
* Softmax: by (4 + |ln y|)u of each result y, since the difference to the maximum, −ln y at most, is rounded;
* a normalisation, a recurrence or attention: its operands by √n·u, the backward error of the accumulations inside
  (the same papers);
* anything else: its inputs by 2u, which shows where it cancels.

Half types accumulate in float32: there u is float32's, and the rounding of the result to its type is added.
Conditioning, cancellation and discrete jumps (ArgMax, a quantum) are thus measured on the graph and inputs at hand.
A quantum that flips is rare and has a large effect, so that few runs may see none: from the second run on, of the
elements that rounding may carry over a step (six deviations of what was measured there) one is carried.

With s the root mean square of an element's spread over the runs, the element may be off by 6s: both sides round, and
six deviations leave nothing to chance.  Where a graph is too large for many runs, s is an estimate from two and is
not taken smaller than its root mean square over the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.interpreter import bind, evaluate
from graphopt.check.terms import terms_of
from graphopt.ops.facts import facts_of
from graphopt.ops.meaning.precision import is_float
from graphopt.ops.table import Call

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph

_FEW, _MANY = 2, 16
_LARGE = 100_000
_DEVIATIONS = 6.0
_SUMS = frozenset({"MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose", "FusedMatMul", "ReduceSum", "CumSum", "Sum"})
_MEANS = frozenset({"ReduceMean", "Mean", "AveragePool", "GlobalAveragePool"})
_POSITIVE = frozenset({"ReduceL1", "ReduceL2", "ReduceSumSquare"})
_EXACT = frozenset({"Cast", "CastLike", "Relu", "Max", "Min", "Neg", "Abs", "Clip", "Where", "Sign"})
_IEEE = frozenset({"Add", "Sub", "Mul", "Div", "Sqrt", "Reciprocal"})
_INNER_SUMS = frozenset(
    {"LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"}
    | {"InstanceNormalization", "GroupNormalization", "LpNormalization", "MeanVarianceNormalization"}
    | {"LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "DeformConv", "CausalConvWithState", "DFT", "STFT"}
)
_STEPS = frozenset({"QuantizeLinear", "Round", "Floor", "Ceil"})


def allowances(
    graph: Graph,
    feeds: Mapping[str, Any],
    outputs: Mapping[str, Any],
    seed: int = 0,
    run: Callable[[Call], tuple[Any, ...]] = run_call,
) -> dict[str, Any]:
    """What each output, given as the reference computed it, may be off by: an array, 0 where rounding cannot reach.

    None for outputs that are not tensors of numbers.  `run` applies the operators; it may raise to end the search.
    """
    bound = bind(graph, feeds)
    count = _MANY if _elements(graph, bound.values()) < _LARGE else _FEW
    memory = _Memory()
    disturbances = [Disturbance(np.random.default_rng([seed, i]), memory, run) for i in range(count)]
    runs = [evaluate(graph, bound, {}, graph.opsets, disturb=disturb) for disturb in disturbances]
    names = enumerate(graph.output_names)
    return {name: _allowance(outputs[name], [made[i] for made in runs]) for i, name in names}


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


_Place: TypeAlias = "tuple[int, str, tuple[int, ...]]"


@dataclass(slots=True)
class _Memory:
    """What the first run leaves to the others, by place: deviations of accumulations, operands before a step."""

    deviations: dict[_Place, np.ndarray] = field(default_factory=dict["_Place", np.ndarray])
    operands: dict[_Place, np.ndarray] = field(default_factory=dict["_Place", np.ndarray])


class Disturbance:
    """Runs operators with results off by as much as rounding allows."""

    def __init__(
        self, rng: np.random.Generator, memory: _Memory, run: Callable[[Call], tuple[Any, ...]] = run_call
    ) -> None:
        self._rng = rng
        self._memory = memory
        self._run = run
        self._place = 0

    def __call__(self, call: Call) -> tuple[Any, ...]:
        self._place += 1
        facts = facts_of(call.op, call.domain)
        if facts is not None and (not facts.deterministic or facts.moves or facts.shape_only):
            return self._run(call)
        if call.op in _EXACT:
            return self._run(call)
        if call.op in _SUMS or call.op in _MEANS or call.op in _POSITIVE:
            return self._accumulated(call)
        if call.op in _STEPS and _rounds(call.inputs[0]):
            return self._stepped(call)
        if call.op in _INNER_SUMS:
            shapes = [np.shape(v) for v in call.inputs if _rounds(v) and np.ndim(v)]
            channels = call.op in ("InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization")
            n = max((math.prod(shape[2 if channels else -1 :]) for shape in shapes), default=1)
            call = _with_inputs(call, self._moved(call.inputs, max(2.0, math.sqrt(n))))
        elif (facts is None or not facts.elementwise) and call.op != "Softmax":
            call = _with_inputs(call, self._moved(call.inputs))
        if call.op in ("Add", "Sub", "Mul", "Softmax"):
            return self._known(call)
        return self._moved(self._run(call), 1.0 if call.op in _IEEE else 2.0)

    def _moved(self, values: tuple[Any, ...], units: float = 2.0) -> tuple[Any, ...]:
        return tuple(self._off(v, np.abs(_wide(v)) * (units * _unit(v))) if _rounds(v) else v for v in values)

    def _known(self, call: Call) -> tuple[Any, ...]:
        result = np.asarray(self._run(call)[0])
        if not _rounds(result):
            return (result,)
        with np.errstate(all="ignore"):
            by = _unit(result) * np.abs(_wide(result))
            if call.op == "Softmax":
                by = by * (4.0 - np.log(np.maximum(_wide(result), np.finfo(np.float64).tiny)))
            else:
                a, b = (np.abs(_wide(v)) for v in call.inputs)
                exact = (np.frexp(a)[0] == 0.5) | (np.frexp(b)[0] == 0.5)
                by = np.where(exact, 0.0, by) if call.op == "Mul" else np.minimum(by, np.minimum(a, b))
        return (self._off(result, by),)

    def _accumulated(self, call: Call) -> tuple[Any, ...]:
        results = self._run(call)
        if not _rounds(results[0]):
            return results
        key = (self._place, call.op, results[0].shape)
        if key not in self._memory.deviations:
            self._memory.deviations[key] = self._deviation(call, results[0])
        return (self._off(results[0], self._memory.deviations[key]), *self._moved(results[1:]))

    def _deviation(self, call: Call, result: np.ndarray) -> np.ndarray:
        n = terms_of(call, result)
        with np.errstate(all="ignore"):
            total = np.square(_wide(result))
            squares = total
            if call.op not in _POSITIVE:
                operands = tuple(np.square(v.astype(_WIDE)) if _rounds(v) else v for v in call.inputs)
                squared = Call(call.op, call.domain, call.version, _squared(call), operands, call.outputs)
                squares = np.abs(_wide(self._run(squared)[0])) / (n if call.op in _MEANS else 1)
            inside = min(_unit(result), _ACCUMULATOR)
            deviation = inside * np.sqrt((n * (squares + 2 * total) / 6 + squares + total) / 3)
            return deviation + (_unit(result) * np.sqrt(total) if inside < _unit(result) else 0.0)

    def _stepped(self, call: Call) -> tuple[Any, ...]:
        operand = np.asarray(call.inputs[0])
        results = self._run(call)
        key = (self._place, call.op, operand.shape)
        first = self._memory.operands.setdefault(key, operand)
        if first is operand or not operand.size:
            return results
        with np.errstate(all="ignore"):
            off = _wide(operand) - _wide(first)
            reach = _DEVIATIONS * math.sqrt(float(np.mean(np.square(off), where=np.isfinite(off))) / 2)
        if not 0 < reach < math.inf:
            return results
        for side in (reach, -reach):
            moved = (_wide(operand) + side).astype(operand.dtype)
            other = self._run(_with_inputs(call, (moved, *call.inputs[1:])))[0]
            may = np.flatnonzero(np.asarray(other != results[0]))
            if may.size:
                place = int(self._rng.choice(may))
                flipped = np.array(results[0])
                flipped.reshape(-1)[place] = other.reshape(-1)[place]
                return (flipped, *results[1:])
        return results

    def _off(self, value: np.ndarray, by: np.ndarray) -> np.ndarray:
        signs = self._rng.integers(0, 2, np.shape(value), np.int8) * 2 - 1
        with np.errstate(all="ignore"):
            moved = (_wide(value) + np.where(np.isfinite(by), by, 0.0) * signs).astype(value.dtype)
            # the largest number stays finite: models mask with it, and nothing rounds it to infinity
            return np.where(np.isfinite(moved) | ~np.isfinite(value), moved, value)


_ACCUMULATOR = float(np.finfo(np.float32).eps) / 2
_WIDE = np.float64


def _with_inputs(call: Call, inputs: tuple[Any, ...]) -> Call:
    return Call(call.op, call.domain, call.version, call.attributes, inputs, call.outputs)


def _rounds(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and is_float(np.asarray(value).dtype)


def _wide(value: Any) -> np.ndarray:
    return np.asarray(value).astype(np.float64)


def _unit(value: Any) -> float:
    import ml_dtypes

    return float(ml_dtypes.finfo(np.asarray(value).dtype).eps) / 2


def _squared(call: Call) -> Mapping[str, Any]:
    return {k: v * v if k in ("alpha", "beta") and isinstance(v, float) else v for k, v in call.attributes.items()}
