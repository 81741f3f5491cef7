"""What binding asks about a whole program before it sees a shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphopt.program import Program, StepKind


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """Liveness and consumers of every value."""

    last_use: tuple[int, ...]
    """The last step that reads the value or an alias of it; `len(steps)` where it is (or an alias is) an output."""
    native: frozenset[int]
    """Values that a kernel reads, itself or through an alias: they need an address in planned memory."""
    output_of: Mapping[int, int]
    """Value → the output whose array it may be computed into (it is that output, or the output aliases it)."""
    evaluated: frozenset[int]
    """Values that Python steps make: arrays of their own."""


def facts_of_program(program: Program) -> ProgramFacts:
    """The facts, in one walk backwards."""
    last = [-1] * len(program.values)
    native: set[int] = set()
    output_of: dict[int, int] = {}
    for i, output in enumerate(program.outputs):
        last[output.value] = len(program.steps)
        output_of.setdefault(output.value, i)
    for index in range(len(program.steps) - 1, -1, -1):
        step = program.steps[index]
        for value in step.reads():
            last[value] = max(last[value], index)
            if step.kind is StepKind.KERNEL:
                native.add(value)
        if step.kind is StepKind.ALIAS:
            source, made = step.inputs[0], step.outputs[0]
            if source is None or made is None:
                continue
            last[source] = max(last[source], last[made])
            if made in native:
                native.add(source)
            if made in output_of:
                output_of.setdefault(source, output_of[made])
    python = (StepKind.MEANING, StepKind.CONTROL)
    evaluated = frozenset(value for step in program.steps if step.kind in python for value in step.writes())
    return ProgramFacts(tuple(last), frozenset(native), output_of, evaluated)
