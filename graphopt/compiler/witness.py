"""A compiled program as a witness for the check: its values under the names of the graph it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphopt.program import Output, Program, Step
from graphopt.runtime.executor import Executor


class Traced:
    """One run of a program in which every value that a step writes is kept."""

    def __init__(self, executor: Executor, given: Sequence[Any]) -> None:
        """Run the program on its inputs (and captures), in order."""
        program = executor.program
        self._executor = executor
        self._values: dict[int, Any] = dict(zip((*program.inputs, *program.captures), given, strict=True))
        written = [v for step in program.steps for v in step.writes()]
        shown = replace(program, outputs=(*program.outputs, *(Output(f"\0{v}", v) for v in written)))
        results = Executor(shown, executor.weights, executor.kernels).run(given)
        self.outputs: Sequence[Any] = results[: len(program.outputs)]
        self._values.update(zip(written, results[len(program.outputs) :], strict=True))
        self._numbers = {program.values[number].name: number for number in self._values}
        self._weights = {info.name: info.weight for info in program.values if info.weight is not None}
        self._holders: dict[str, tuple[int, Step]] = {
            program.values[v].name: (i, step)
            for i, step in enumerate(program.steps)
            if step.subprograms
            for v in step.writes()
        }

    def knows(self, name: str) -> bool:
        """Whether an input or a step has a value of that name."""
        return name in self._numbers

    def value(self, name: str) -> Any:
        """The value as the program computed it."""
        return self._values[self._numbers[name]]

    def constant(self, name: str) -> Any:
        """The elements of a constant of that name; None where there is none, or only a packed form of it."""
        index = self._weights.get(name)
        return None if index is None else self._executor.weights.array(index)

    def body(self, node: str, outputs: Sequence[str], attribute: str, given: Sequence[Any]) -> Traced | None:
        """The subprogram of the step that writes one of the outputs, run on the inputs and on what it captures here."""
        held = next((self._holders[name] for name in outputs if name in self._holders), None)
        if held is None or (node and held[1].name != node):
            return None
        index, step = held
        sub = next((sub for sub in step.subprograms if sub.attribute == attribute), None)
        if sub is None:
            return None
        captures = [self._constant(v) for v in sub.captures]
        return Traced(self._executor.inner[index][attribute], [*given, *captures])

    def _constant(self, value: int) -> Any:
        program: Program = self._executor.program
        weight = program.values[value].weight
        return self._values[value] if weight is None else self._executor.weights.array(weight)
