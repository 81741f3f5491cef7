"""What one operator makes of estimates: its value in float64, and a bound on what rounding may do to it.

This is running error analysis (Wilkinson; Higham, "Accuracy and Stability of Numerical Algorithms", 3.3): the error of
the operands is carried through the operator, and what the operator itself may lose in the model's type is added.  With
e the distance from 1 to the next number of the type, a right kernel may be off by

* nothing, where it only moves, selects or compares elements;
* e of the result for IEEE arithmetic (+, −, ×, ÷, √): its own rounding, and one that a fused operation saves or adds;
* 3e of the result for other functions, and what moving their operand by e changes; those that cancel inside (Gelu, Elu,
  Softplus and their like) by e of the terms that cancel as well;
* six standard deviations for a sum of n terms t in an order nobody promised.  Each partial sum s is rounded, by e/√12
  of it as a deviation; with terms in random order E Σs² ≤ n·(Σt² + 2(Σt)²)/6 (Higham & Mary, SIAM J. Sci. Comput.
  41(5), 2019; for data of both signs 42(5), 2020).  Kernels add neighbours one after the other, and neighbours (the
  taps of a window, the pixels of a smooth image) may be alike: of b = 64 of them Σt² becomes b·Σt², by Cauchy;
* what is added to such a sum before anybody sees it, by a kernel that begins with it: a deviation of √n·e/√12 of it;
* (4 + |ln y|)e of each result y for Softmax, since the difference to the maximum, −ln y at most, is rounded, and what
  a sum of n positive terms may lose;
* for normalisations, recurrences and attention: what moving their operands by √n·e changes, the backward error of the
  sums inside; for anything else, what moving its operands by 2e changes.

Half types accumulate in float32: there e is float32's, and the rounding of the result to its type is added.  Operands
that decide shapes, indices and counts are never moved.  A jump (a quantum, a comparison, an index) is judged by its
margin: where the error of the operand reaches over it, the other side is allowed too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.estimate import Estimate, Estimated, epsilon, estimate, exact, plain
from graphopt.check.terms import terms_of
from graphopt.errors import GraphoptError
from graphopt.ops.facts import Facts, facts_of
from graphopt.ops.meaning.precision import is_float
from graphopt.ops.table import Call

Run: TypeAlias = Callable[[Call], "tuple[Any, ...]"]

DEVIATIONS = 6.0
"""How many standard deviations a bound is: six leave nothing to chance."""
ALIKE = 64
"""So many terms of a sum that stand side by side may be alike, and not in random order."""
DRAWS = 3
"""How often an operator without a law of its own is run on moved operands."""

_MEANS = {"ReduceMean", "AveragePool", "GlobalAveragePool"}
_LINEAR = {"MatMul", "Gemm", "Einsum", "Conv", "ConvTranspose", "FusedMatMul", "ReduceSum", "CumSum"} | _MEANS
_SUMS = _LINEAR | {"ReduceL1", "ReduceSumSquare"}
_SELECTING = {"Relu", "Max", "Min", "Neg", "Abs", "Clip", "Where", "Sign", "Identity"}
_IEEE = {"Add", "Sub", "Mul", "Div", "Sqrt", "Reciprocal"}
_AFFINE = {"Add", "Sub", "Sum", "Mul", "Div", "Neg", "Identity"}
_LARGEST_OF = {"MaxPool", "GlobalMaxPool", "ReduceMax"}
_STEEPEST = {"Erf": 1.129, "Gelu": 1.13}
"""The largest slope of functions that are dear to evaluate: they are not run again on moved operands."""
_GATED = {"Gelu", "FastGelu", "QuickGelu", "BiasGelu", "Mish", "Swish", "HardSwish"}
_CANCELLING = {"Elu", "Selu", "Celu", "Softplus"} | _GATED
_BY_ROW = {"LayerNormalization", "SkipLayerNormalization", "SimplifiedLayerNormalization", "RMSNormalization"}
_RECURRENT = {"LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "CausalConvWithState"}
_OVER_SPACE = {"InstanceNormalization", "GroupNormalization", "MeanVarianceNormalization"}
_NORMALISING = _BY_ROW | _OVER_SPACE | _RECURRENT | {"LpNormalization", "DeformConv", "DFT", "STFT"}


def propagate(call: Call, run: Run = run_call, seed: int = 0) -> tuple[Estimated, ...]:
    """The outputs of an operator whose inputs are estimates (lists for sequences, None for what is left out).

    `run` applies operators; it may raise to end the search.
    """
    facts = facts_of(call.op, call.domain)
    given = [x for x in call.inputs if isinstance(x, Estimate)]
    inexact = any(x.error is not None for x in given)
    if not any(is_float(x.dtype) for x in given) and not inexact:
        return tuple(exact(result) for result in run(_plainly(call)))
    with np.errstate(all="ignore"):
        if facts is not None and facts.moves and facts.deterministic:
            return _moved(call, facts, run)
        if call.op in ("Cast", "CastLike"):
            return _cast(call, run)
        if facts is not None and facts.elementwise:
            return _elementwise(call, facts, run)
        if call.op in ("QuantizeLinear", "DequantizeLinear"):
            return _elementwise(call, facts or Facts(), run)
        if call.op == "DynamicQuantizeLinear":
            return _quantised_dynamically(call, run)
        if call.op in _SUMS and call.domain in ("", "ai.onnx", "com.microsoft"):
            return _summed(call, facts, run)
        if call.op == "BatchNormalization" and call.outputs == 1 and not call.attributes.get("training_mode"):
            return _batch_normalised(call, run)
        if call.op in ("Softmax", "LogSoftmax"):
            return _softmax(call, run)
        if call.op in _LARGEST_OF and len(given) == 1:
            return _largest(call, run)
        return _sampled(call, facts or Facts(), run, seed)


# ---- how operators are run ----------------------------------------------------------------------------


def _with(call: Call, inputs: Sequence[Any], **attributes: Any) -> Call:
    changed = {**call.attributes, **attributes} if attributes else call.attributes
    return Call(call.op, call.domain, call.version, changed, tuple(inputs), call.outputs)


def _plainly(call: Call) -> Call:
    return _with(call, [plain(x) for x in call.inputs])


def _fixed(call: Call, slot: int, facts: Facts | None) -> bool:
    """Whether an operand decides a shape: it keeps its type, and nothing moves it."""
    return facts is not None and slot in facts.shape_inputs


def _wide(call: Call, facts: Facts | None) -> list[Any]:
    """The operands with floats in float64, but for those that decide shapes."""
    return [
        plain(x) if not isinstance(x, Estimate) or _fixed(call, slot, facts) else x.value
        for slot, x in enumerate(call.inputs)
    ]


def _result_type(call: Call, slot: int, result: np.ndarray) -> np.dtype:
    """The element type that the model would have; `result` was computed from float64 operands."""
    if not is_float(result.dtype) or result.dtype != np.float64:
        return result.dtype
    floats = [x.dtype for x in call.inputs if isinstance(x, Estimate) and is_float(x.dtype)]
    if call.op == "DequantizeLinear":
        return floats[-1] if floats else result.dtype
    return floats[0] if floats else result.dtype


def _made(call: Call, slot: int, result: Any, error: np.ndarray | None, terms: int = 0) -> Estimated:
    if result is None or isinstance(result, list):
        return result
    array = np.asarray(result)
    return estimate(array, _result_type(call, slot, array), error, terms)


def _terms(call: Call) -> int:
    return max((x.terms for x in call.inputs if isinstance(x, Estimate)), default=0)


def _joining(dtype: np.dtype, terms: int) -> float:
    """What a number may lose, relative to itself, that becomes one of the terms of a sum."""
    return DEVIATIONS * _inner(dtype) * math.sqrt(terms / 12)


def _unit(dtype: np.dtype) -> float:
    return epsilon(dtype) if is_float(dtype) else 0.0


def _inner(dtype: np.dtype) -> float:
    """The precision in which sums are kept: float32 at least."""
    return min(_unit(dtype), epsilon(np.dtype(np.float32)))


def _off(changed: Any, centre: np.ndarray) -> np.ndarray:
    """How far a run on moved operands is from the plain one; what is not a number on one side alone says nothing."""
    if centre.dtype.kind in "OUS":
        return np.where(np.asarray(changed) != centre, np.inf, 0.0)
    off = np.abs(np.asarray(changed).astype(np.float64) - centre.astype(np.float64))
    return np.where(np.isnan(off), 0.0, off)


# ---- by kind of operator ------------------------------------------------------------------------------


def _moved(call: Call, facts: Facts, run: Run) -> tuple[Estimated, ...]:
    """Errors move with their elements."""
    if all(x.error is None for x in call.inputs if isinstance(x, Estimate)):
        return tuple(exact(result) for result in run(_plainly(call)))
    wide = _wide(call, facts)
    results = run(_with(call, wide))
    movable = [isinstance(x, Estimate) and is_float(x.dtype) and not _fixed(call, i, facts) for i, x in _slots(call)]
    others = [x for x, moves in zip(call.inputs, movable, strict=True) if isinstance(x, Estimate) and not moves]
    if any(x.error is not None for x in others):
        return _sampled(call, facts, run, 0)
    errors = [
        (np.zeros(x.shape) if x.error is None else x.error) if moves and isinstance(x, Estimate) else wide[i]
        for (i, x), moves in zip(_slots(call), movable, strict=True)
    ]
    carried = run(_with(call, errors, **({"value": 0.0} if "value" in call.attributes else {})))
    return tuple(
        _made(
            call,
            slot,
            result,
            np.abs(np.asarray(error, np.float64)) if isinstance(error, np.ndarray) else None,
            _terms(call),
        )
        for slot, (result, error) in enumerate(zip(results, carried, strict=True))
    )


def _slots(call: Call) -> list[tuple[int, Any]]:
    return list(enumerate(call.inputs))


def _cast(call: Call, run: Run) -> tuple[Estimated, ...]:
    """To a float type: one rounding, without losing what float64 holds.  To anything else: a jump."""
    x = call.inputs[0]
    assert isinstance(x, Estimate)
    rounded = np.asarray(run(_plainly(call))[0])
    if not is_float(rounded.dtype):
        return _elementwise(call, Facts(elementwise=True), run)
    if not is_float(x.dtype) or x.error is None:
        narrower = is_float(x.dtype) and _unit(rounded.dtype) > _unit(x.dtype)
        value = x.value.astype(np.float64) if is_float(x.dtype) else rounded.astype(np.float64)
        held = np.isfinite(rounded.astype(np.float64)) | ~np.isfinite(value)
        value = np.where(held, value, rounded.astype(np.float64))
        own = _unit(rounded.dtype) * np.abs(value) if narrower else None
        return (estimate(value, rounded.dtype, own),)
    own = _unit(rounded.dtype) * np.abs(x.value) if _unit(rounded.dtype) > _unit(x.dtype) else 0.0
    return (estimate(x.value, rounded.dtype, x.error + own),)


def _elementwise(call: Call, facts: Facts, run: Run) -> tuple[Estimated, ...]:
    wide = _wide(call, facts)
    centre = np.asarray(run(_with(call, wide))[0])
    carried = np.zeros(centre.shape)
    for slot, x in _slots(call):
        if not isinstance(x, Estimate) or x.error is None:
            continue
        if call.op in _STEEPEST:
            carried = _STEEPEST[call.op] * x.error
            continue
        reach = np.where(np.isfinite(x.error), x.error, 0.0)
        sides = [_side(call, wide, slot, x, sign * reach, run, centre) for sign in (1.0, -1.0)]
        lost = np.isposinf(x.error)
        off = np.maximum(*sides)
        if lost.any():
            off = np.where(np.broadcast_to(lost, centre.shape) if lost.ndim else lost, np.inf, off)
        carried = np.hypot(carried, off)
    if call.op == "Equal" and len(call.inputs) == 2:
        carried = np.maximum(carried, _near(call))
    made = _made(call, 0, centre, None)
    if not isinstance(made, Estimate):
        return (made,)
    terms = _terms(call) if call.op in _AFFINE else 0
    joined: np.ndarray | float = 0.0
    if terms and call.op in ("Add", "Sub", "Sum"):
        others = (np.abs(x.value) for x in call.inputs if isinstance(x, Estimate) and not x.terms)
        joined = _joining(made.dtype, terms) * sum(others)
    return (estimate(made.value, made.dtype, carried + joined + _own(call, wide, made, run), terms),)


def _side(
    call: Call, wide: list[Any], slot: int, x: Estimate, by: np.ndarray, run: Run, centre: np.ndarray
) -> np.ndarray:
    moved = x.value + by
    if not is_float(x.dtype):
        ends = (0, 1) if x.dtype == np.bool_ else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        moved = np.clip(np.rint(moved), *ends).astype(x.dtype)
    return _off(run(_with(call, [*wide[:slot], moved, *wide[slot + 1 :]]))[0], centre)


def _near(call: Call) -> np.ndarray:
    """Where two operands of Equal may be equal or not, for all that is known."""
    a, b = call.inputs
    if not isinstance(a, Estimate) or not isinstance(b, Estimate):
        return np.zeros(())
    reach = (0.0 if a.error is None else a.error) + (0.0 if b.error is None else b.error)
    return np.where(np.abs(a.value - b.value) <= reach, np.where(np.asarray(reach) > 0, 1.0, 0.0), 0.0)


def _own(call: Call, wide: list[Any], made: Estimate, run: Run) -> np.ndarray | float:
    """What an elementwise operator itself may lose."""
    if call.op == "QuantizeLinear":  # the ratio is rounded before it becomes a whole number
        x = call.inputs[0]
        reach = np.abs(x.value) * (2 * _unit(x.dtype))
        return np.maximum(*(_side(call, wide, 0, x, s * reach, run, made.value) for s in (1.0, -1.0)))
    if not is_float(made.dtype) or call.op in _SELECTING:
        return 0.0
    unit, size = _unit(made.dtype), np.abs(made.value)
    if call.op in _IEEE or call.op == "DequantizeLinear":
        return unit * size
    if call.op in ("Sum", "Mean"):
        return unit * len(call.inputs) * sum(np.abs(np.asarray(v, np.float64)) for v in wide if v is not None)
    own = 3 * unit * size
    x = call.inputs[0]
    if isinstance(x, Estimate) and is_float(x.dtype):
        if call.op in _STEEPEST:
            own = own + _STEEPEST[call.op] * unit * np.abs(x.value)
        else:
            own = own + np.maximum(
                *(_side(call, wide, 0, x, s * unit * np.abs(x.value), run, made.value) for s in (1, -1))
            )
        if call.op in _CANCELLING:
            own = own + unit * np.minimum(np.maximum(np.abs(x.value), 1.0), np.abs(x.value) + 1.0)
    return own


def _quantised_dynamically(call: Call, run: Run) -> tuple[Estimated, ...]:
    """The quantum of a ratio next to a rounding boundary is either; so is all that follows from a moved range."""
    x = call.inputs[0]
    assert isinstance(x, Estimate)
    whole, scale, zero = (np.asarray(result) for result in run(_with(call, [x.plain])))
    most = 0.0 if x.error is None else float(np.max(x.error, initial=0.0))
    unit = _unit(x.dtype)
    off_scale = float(scale) * unit + 2 * most / 255
    ratio = x.value / float(scale)
    reach = np.abs(ratio) * (2 * unit + off_scale / float(scale)) + most / float(scale)
    low, high = (np.clip(np.rint(ratio + s * reach) + float(zero), 0, 255) for s in (-1.0, 1.0))
    shift = 1.0 if most and abs(float(zero)) < 256 else 0.0
    error = np.maximum(np.abs(high - whole), np.abs(low - whole)) + shift
    results = (whole, scale, zero)
    errors = (error, np.full(scale.shape, off_scale), np.full(zero.shape, shift))
    return tuple(Estimate(r, r.dtype, e if np.any(e) else None) for r, e in zip(results, errors, strict=True))


def _summed(call: Call, facts: Facts | None, run: Run) -> tuple[Estimated, ...]:
    wide = _wide(call, facts)
    results = run(_with(call, wide))
    first = np.asarray(results[0])
    dtype = _result_type(call, 0, first)
    if not is_float(dtype):
        return _sampled(call, facts or Facts(), run, 0)
    squares = [v if _fixed(call, i, facts) or not _floats(x) else np.square(v) for (i, x), v in _paired(call, wide)]
    squared = _with(call, squares, **_squared(call))
    n = terms_of(_with(call, wide), first)
    scale = n if call.op in _MEANS else 1
    total = np.square(first)
    terms = total if call.op in ("ReduceL1", "ReduceSumSquare") else np.abs(np.asarray(run(squared)[0])) / scale
    unit = _inner(dtype)
    own = DEVIATIONS * unit * np.sqrt((n * (min(n, ALIKE) * terms + 2 * total) / 6 + terms + total) / 12)
    if unit < _unit(dtype):
        own = own + _unit(dtype) * np.abs(first)
    variance = np.zeros(first.shape)
    for slot, x in _slots(call):
        if not isinstance(x, Estimate) or x.error is None:
            continue
        if call.op not in _LINEAR:
            return _sampled(call, facts or Facts(), run, 0)
        parts = [*squares[:slot], np.square(np.minimum(x.error, 1e100)), *squares[slot + 1 :]]
        if call.op in ("Conv", "ConvTranspose", "Gemm") and slot < 2:
            parts = parts[:2]
        if slot == 2 and call.op in ("Conv", "ConvTranspose", "Gemm"):
            reached = np.square(_spread_bias(call, x, first))
        else:
            reached = np.abs(np.asarray(run(_with(call, parts, **_squared(call)))[0])) / scale
        variance = variance + reached
    made = _made(call, 0, first, own + np.sqrt(variance), n)
    return (made, *(_made(call, i + 1, r, None) for i, r in enumerate(results[1:])))


def _spread_bias(call: Call, bias: Estimate, result: np.ndarray) -> np.ndarray:
    error = bias.error if bias.error is not None else np.zeros(bias.shape)
    if call.op == "Gemm":
        return np.broadcast_to(error * abs(float(call.attributes.get("beta", 1.0))), result.shape)
    return np.broadcast_to(error.reshape(-1, *[1] * (result.ndim - 2)), result.shape)


def _paired(call: Call, values: list[Any]) -> list[tuple[tuple[int, Any], Any]]:
    return list(zip(_slots(call), values, strict=True))


def _floats(x: Any) -> bool:
    return isinstance(x, Estimate) and is_float(x.dtype)


def _squared(call: Call) -> dict[str, Any]:
    return {k: v * v for k, v in call.attributes.items() if k in ("alpha", "beta") and isinstance(v, float)}


def _batch_normalised(call: Call, run: Run) -> tuple[Estimated, ...]:
    """An affine function of each channel; a right kernel may multiply out its parameters, in the type itself."""
    wide = _wide(call, None)
    centre = np.asarray(run(_with(call, wide))[0])
    x, scale, bias, mean, variance = (np.asarray(v, np.float64) for v in wide)
    each = (-1, *[1] * (x.ndim - 2)) if x.ndim > 1 else (-1,)
    slope = np.abs(scale / np.sqrt(variance + float(call.attributes.get("epsilon", 1e-5)))).reshape(each)
    shift = np.abs(bias).reshape(each) + slope * np.abs(mean).reshape(each)
    given = call.inputs[0]
    assert isinstance(given, Estimate)
    unit, error = _unit(given.dtype), 0.0 if given.error is None else given.error
    own = unit * (2 * slope * np.abs(x) + 2 * shift + np.abs(centre)) + _joining(given.dtype, given.terms) * shift
    parameters = [v.error for v in call.inputs[1:] if isinstance(v, Estimate) and v.error is not None]
    if parameters:
        return _sampled(call, Facts(), run, 0)
    return (_made(call, 0, centre, slope * error + own, given.terms),)


def _softmax(call: Call, run: Run) -> tuple[Estimated, ...]:
    """An error of e in the operand is one of y·2e in a probability y, and of 2e in its logarithm."""
    x = call.inputs[0]
    assert isinstance(x, Estimate)
    centre = np.asarray(run(_with(call, [x.value]))[0])
    unit, log = _inner(x.dtype), call.op == "LogSoftmax"
    logarithm = np.abs(centre) if log else np.abs(np.log(np.maximum(centre, np.finfo(np.float64).tiny)))
    summed = DEVIATIONS * math.sqrt(max(centre.size, 1) / max(_rows(call, centre), 1) / 36)
    own = unit * (4.0 + logarithm + summed) * (1.0 if log else centre) + (_unit(x.dtype) * np.abs(centre))
    if x.error is not None:
        reach = x.error + np.max(x.error, initial=0.0)
        own = own + (reach if log else centre * np.expm1(np.minimum(reach, 100.0)))
    return (_made(call, 0, centre, own),)


def _rows(call: Call, result: np.ndarray) -> int:
    """How many sums a Softmax has: one for each place off the axis, before opset 13 off the axes from there on."""
    if not result.ndim:
        return 1
    axis = int(call.attributes.get("axis", 1 if call.version < 13 else -1)) % result.ndim
    return result.size // max(math.prod(result.shape[axis:] if call.version < 13 else result.shape[axis : axis + 1]), 1)


def _largest(call: Call, run: Run) -> tuple[Estimated, ...]:
    """The largest of a window is off by the largest error in it; where it stands, only without errors."""
    (x,) = (v for v in call.inputs if isinstance(v, Estimate) and is_float(v.dtype))
    wide = _wide(call, None)
    results = run(_with(call, wide))
    if x.error is None:
        return tuple(_made(call, i, result, None) for i, result in enumerate(results))
    error = run(_with(call, [x.error if v is x else w for v, w in zip(call.inputs, wide, strict=True)]))[0]
    rest = (_made(call, i + 1, r, np.full(np.shape(r), np.inf)) for i, r in enumerate(results[1:]))
    return (_made(call, 0, results[0], np.asarray(error)), *rest)


def _sampled(call: Call, facts: Facts, run: Run, seed: int) -> tuple[Estimated, ...]:
    """What running the operator on moved operands shows."""
    wide = _wide(call, facts)
    try:
        results = run(_with(call, wide))
    except GraphoptError:  # it insists on the model's types
        wide = [plain(x) for x in call.inputs]
        results = run(_with(call, wide))
    units = _operand_units(call)
    random = np.random.default_rng([seed, len(call.op)])
    runs: list[tuple[Any, ...]] = []
    for _ in range(DRAWS):
        inputs = [_drawn(call, slot, x, wide[slot], facts, units, random) for slot, x in _slots(call)]
        try:
            runs.append(run(_with(call, inputs)))
        except GraphoptError:
            continue  # a moved operand that does not fit says nothing about the model
    found: list[Estimated] = []
    for slot, result in enumerate(results):
        near = [r[slot] for r in runs if np.shape(r[slot]) == np.shape(result)]
        found.append(_made(call, slot, result, _spread(result, near) if isinstance(result, np.ndarray) else None))
    return tuple(_and_rounding(item) for item in found)


def _and_rounding(item: Estimated) -> Estimated:
    if not isinstance(item, Estimate) or not is_float(item.dtype):
        return item
    own = _unit(item.dtype) * np.abs(item.value)
    return item.off_by(own)


def _operand_units(call: Call) -> float:
    if call.op not in _NORMALISING:
        return 2.0
    shapes = [x.shape for x in call.inputs if _floats(x) and x.value.ndim]
    n = max((math.prod(shape[2 if call.op in _OVER_SPACE else -1 :]) for shape in shapes), default=1)
    return max(2.0, math.sqrt(n))


def _drawn(call: Call, slot: int, x: Any, wide: Any, facts: Facts, units: float, random: np.random.Generator) -> Any:
    if not isinstance(x, Estimate) or _fixed(call, slot, facts):
        return wide
    if not is_float(x.dtype):
        if x.error is None or x.dtype.kind not in "iub":
            return wide
        return np.where(random.integers(0, 2, x.shape) == 1, x.value, _step(x, random))
    by = units * _inner(x.dtype) / 2 * np.abs(x.value)
    if x.error is not None:
        by = by + np.where(np.isfinite(x.error), x.error, 0.0) / DEVIATIONS
    by = np.where(np.isfinite(by), by, 0.0)
    moved = np.asarray(wide, np.float64) + by * (random.integers(0, 2, x.shape) * 2.0 - 1.0)
    return moved.astype(np.asarray(wide).dtype)


def _step(x: Estimate, random: np.random.Generator) -> np.ndarray:
    assert x.error is not None
    by = np.where(np.isfinite(x.error), x.error, 1.0) * (random.integers(0, 2, x.shape) * 2 - 1)
    ends = (0, 1) if x.dtype.kind == "b" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    return np.clip(np.rint(x.value + by), *ends).astype(x.dtype)


def _spread(result: np.ndarray, near: Sequence[Any]) -> np.ndarray:
    """Six deviations of the runs, for no element fewer than the tensor's own; for discrete results all they showed."""
    if not near:
        return np.full(result.shape, np.inf)
    off = np.stack([_off(run, result) for run in near])
    if not is_float(result.dtype):
        return np.max(off, axis=0)
    spread = np.sqrt(np.mean(np.square(off), axis=0))
    usable = np.isfinite(spread)
    if usable.any():
        spread = np.maximum(spread, math.sqrt(float(np.mean(np.square(spread), where=usable))))
    return DEVIATIONS * spread
