"""Steps that run subprograms: the control flow of `graphopt.check.control`, with executors for bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.control import Body
from graphopt.ops.table import Call
from graphopt.program import Step

if TYPE_CHECKING:
    from graphopt.runtime.executor import Executor


def run_control(
    step: Step,
    version: int,
    inner: Mapping[str, Executor],
    operands: Sequence[Any],
    captures: Mapping[str, Sequence[Any]],
) -> tuple[Any, ...]:
    """The outputs of If, Loop, Scan or SequenceMap."""
    bodies = {name: _body(executor, captures[name]) for name, executor in inner.items()}
    attributes = {**step.attributes, **bodies}
    return run_call(Call(step.op, step.domain, version, attributes, tuple(operands), len(step.outputs)))


def _body(executor: Executor, captures: Sequence[Any]) -> Body:
    program = executor.program
    held = [_contiguous(value) for value in captures]

    def run(inputs: Sequence[Any]) -> list[Any]:
        return executor.run([*(_contiguous(value) for value in inputs), *held])

    return Body(
        run,
        tuple(program.values[value].type for value in program.inputs),
        tuple(output.name for output in program.outputs),
        tuple(program.values[output.value].type for output in program.outputs),
    )


def _contiguous(value: Any) -> Any:
    return np.require(value, requirements=["C", "A"]).reshape(value.shape) if isinstance(value, np.ndarray) else value
