"""What one operator computes: our own meaning first, onnx's reference where we have none."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from graphopt.errors import MisfitError, ModelError
from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.facts import facts_of
from graphopt.ops.table import Call, Inference, meaning_of, shape_rule_of

_FOREIGN = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError)
"""What numpy and Python raise on operands that do not fit; their words are never passed on."""


def run_call(call: Call) -> tuple[Any, ...]:
    """The outputs of one application of an operator, as arrays (lists for sequences, None for absent optionals).

    ModelError in one sentence when the operator has no meaning; MisfitError when its inputs do not fit it: first by its
    shape rule, which compares all sizes, then by the meaning, which looks at the elements.  An operator with graphs in
    its attributes runs them without captures; `interpret` is the way to run those that capture.
    """
    from graphopt.check.control import control_of  # on demand: control flow needs the interpreter

    control = control_of(call.op, call.domain)
    if control is not None:
        return guarded(call, lambda: control(call, {}, {}, run_call))
    function = meaning_of(call.op, call.domain)
    if function is None:
        from graphopt.check.reference import reference_call  # on demand: it imports onnx

        check_operands(call)
        with np.errstate(all="ignore"):
            return guarded(call, lambda: reference_call(call))
    with np.errstate(all="ignore"):  # NaN, overflow and division by zero are results here, not accidents
        return guarded(call, lambda: _checked(call, function))


def guarded(call: Call, compute: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
    """What is computed for an application; MisfitError, in our words, for what numpy and Python raise."""
    try:
        return compute()
    except _FOREIGN as error:
        shapes = ", ".join(_describe(value) for value in call.inputs)
        raise MisfitError(call.op, f"it cannot take {shapes} (opset {call.version})") from error


def check_operands(call: Call) -> None:
    """Return when the operands fit the operator's shape rule; MisfitError, naming sizes, when they do not.

    What fitted once is remembered: a step that runs again with operands like those is not held against the rule again.
    """
    inputs = call.inputs
    if not all(value is None or isinstance(value, (np.ndarray, np.generic)) for value in inputs):
        return  # sequences are for the meaning to look at
    facts = facts_of(call.op, call.domain)
    looked_at = frozenset[int]() if facts is None else facts.shape_inputs | facts.checked_inputs
    key = _key(call, looked_at)
    if key is not None and key in _fitted:
        return
    rule = shape_rule_of(call.op, call.domain)
    if rule is None:
        return
    arrays = [None if value is None else np.asarray(value) for value in inputs]
    types = tuple(None if array is None else TensorType(_dtype(array), array.shape) for array in arrays)
    values = tuple(array if slot in looked_at and _has_numbers(array) else None for slot, array in enumerate(arrays))
    rule(Inference(call.op, call.domain, call.version, call.attributes, types, values, call.outputs))
    if key is not None:
        if len(_fitted) >= _MOST_REMEMBERED:
            _fitted.clear()
        _fitted.add(key)


_MOST_REMEMBERED = 4096
_SMALL = 64
"""Elements of an operand that are part of what is remembered; a call with more of them is looked at each time."""
_fitted: set[Hashable] = set()


def _key(call: Call, looked_at: frozenset[int]) -> Hashable | None:
    """What decides whether the operands fit: attributes, types, and the elements that the rule looks at.

    None where that is too much to keep, or holds text or dims.
    """
    parts: list[Hashable] = [call.op, call.domain, call.version, call.outputs, *call.attributes.items()]
    for slot, value in enumerate(call.inputs):
        if value is None:
            parts.append(None)
            continue
        seen = slot in looked_at
        if value.dtype.kind in "OSU" or (seen and value.size > _SMALL):
            return None
        parts.append((value.dtype.num, value.shape, value.tobytes() if seen else None))
    key = tuple(parts)
    try:
        hash(key)
    except TypeError:  # an attribute is a tensor
        return None
    return key


def _checked(call: Call, function: Callable[[Call], tuple[Any, ...]]) -> tuple[Any, ...]:
    check_operands(call)
    try:
        return function(call)
    except MisfitError:
        raise
    except ModelError as error:
        raise MisfitError(call.op, str(error)) from error


def _is_symbolic(array: np.ndarray) -> bool:
    """Whether an object array holds dims and no text."""
    from graphopt.ops.meaning import symbolic  # on demand: importing it registers every meaning

    return symbolic.is_symbolic(array)


def _dtype(array: np.ndarray) -> DType:
    if array.dtype.kind in "OSU":
        return DType.INT64 if _is_symbolic(array) else DType.STRING
    return DType.of(array.dtype)


def _has_numbers(array: np.ndarray | None) -> bool:
    """Whether an operand's elements are numbers, or dims, and not text."""
    return array is not None and (array.dtype.kind not in "OSU" or _is_symbolic(array))


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return type(value).__name__
