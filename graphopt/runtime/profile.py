"""Where the time of one call goes, step by step."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.runtime.context import Context, make_context
from graphopt.runtime.plan import Evaluate, Native, Part, View

if TYPE_CHECKING:
    from graphopt.runtime.executor import Executor


@dataclass(frozen=True, slots=True)
class CallTime:
    """The time one step took: the median over repeats."""

    op: str
    name: str
    absorbed: tuple[str, ...]
    """Operators that the same kernel computed."""
    native: bool
    family: str
    """Of the kernel; empty where the meaning ran."""
    seconds: float


def profile(executor: Executor, given: Sequence[Any], repeats: int) -> list[CallTime]:
    """One entry for each step that ran, in order.

    Native steps are stamped with the processor's cycle counter inside the run loop, so that measuring costs them
    nothing; the counter's rate is taken from the wall time of the same run.
    """
    runs = [_run(executor, given) for _ in range(repeats + 1)][1:]
    steps = executor.program.steps
    found: list[CallTime] = []
    for index in runs[0]:
        step = steps[index]
        family = "" if step.kernel is None else step.kernel.family
        seconds = statistics.median(run.get(index, 0) for run in runs) * 1e-9
        native = step.kernel is not None
        op = f"{step.domain}::{step.op}" if step.domain else step.op
        found.append(CallTime(op, step.name, step.absorbed, native, family, seconds))
    return found


def _run(executor: Executor, given: Sequence[Any]) -> dict[int, float]:
    """Nanoseconds by step."""
    spent: dict[int, float] = {}
    frame = executor.new_frame(given)
    part: Part | None = executor.plan(given)
    kept: list[tuple[Context, list[np.ndarray]]] = []  # memory that kernels write to, until the last part has run
    while part is not None:
        context = make_context(part, executor.weights, executor.kernels, stamped=True)
        kept.append((context, executor.enter(part, context, frame)))
        tables = iter(context.tables)
        for action in part.actions:
            start = perf_counter_ns()
            match action:
                case Native(first=first, count=count):
                    table = next(tables)
                    executor.launch(part, context, table)
                    elapsed = perf_counter_ns() - start
                    assert table.stamps is not None
                    cycles = [int(b - a) for a, b in zip(table.stamps, table.stamps[1:], strict=False)]
                    scale = elapsed / max(sum(cycles), 1)
                    for step, spent_here in zip(part.names[first : first + count], cycles, strict=True):
                        spent[step] = spent.get(step, 0.0) + spent_here * scale
                case Evaluate(step=step):
                    executor.evaluate(action, frame)
                    spent[step] = spent.get(step, 0.0) + perf_counter_ns() - start
                case View():
                    executor.view(action, frame)
        part = executor.following(part, frame) if part.next is not None else None
    return dict(sorted(spent.items()))
