"""What one operator computes: our own meaning first, onnx's reference where we have none."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.table import Call, meaning_of


def run_call(call: Call) -> tuple[Any, ...]:
    """The outputs of one application of an operator, as arrays (lists for sequences, None for absent optionals).

    ModelError in one sentence when the operator has no meaning, or its inputs do not fit it.  An operator with
    graphs in its attributes runs them without captures; `interpret` is the way to run those that capture.
    """
    from graphopt.check.control import control_of  # on demand: control flow needs the interpreter

    control = control_of(call.op, call.domain)
    if control is not None:
        return control(call, {}, {}, run_call)
    function = meaning_of(call.op, call.domain)
    if function is None:
        from graphopt.check.reference import reference_call  # on demand: it imports onnx

        with np.errstate(all="ignore"):
            return reference_call(call)
    with np.errstate(all="ignore"):  # NaN, overflow and division by zero are results here, not accidents
        try:
            return function(call)
        except (TypeError, ValueError, IndexError, KeyError, ZeroDivisionError, AttributeError) as error:
            shapes = ", ".join(_describe(value) for value in call.inputs)
            raise ModelError(f"{call.op} (opset {call.version}) cannot take {shapes}: {error}") from error


def _describe(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return type(value).__name__
