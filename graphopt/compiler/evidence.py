"""The whole compiled model against what its source means, on seeded inputs: the evidence in the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphopt.check import Budget, BudgetSpentError, compare, interpret
from graphopt.check.budget import SECOND
from graphopt.check.interpreter import bind
from graphopt.check.lockstep import Lockstep
from graphopt.compiler.report import Evidence
from graphopt.compiler.trials import Trial, draw, find_trial, refusal_of, roomier
from graphopt.compiler.witness import Traced
from graphopt.errors import CompileError, GraphoptError
from graphopt.ir.graph import Graph
from graphopt.ops.call import elements
from graphopt.program import Program
from graphopt.rewrite.exactness import Exactness
from graphopt.runtime.executor import Executor
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights

GRANTED = 2 * SECOND
"""What a check may compute in the reference: about two seconds of it."""
_LOOPS = {"Loop", "Scan", "SequenceMap"}


def gather(
    graph: Graph,
    program: Program,
    weights: Weights,
    kernels: Kernels,
    *,
    granted: int | None = GRANTED,
    sizes: Mapping[str, int] | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Evidence:
    """What comparing the program with its source graph showed, on `inputs` or on drawn ones.

    CompileError when a value differs by more than rounding can explain.  With `sizes` chosen for some symbols, the
    others are found.  Where no inputs are found that the model takes, nothing is compared and the reason is given.
    """
    executor = Executor(program, weights, kernels)
    check = _Check(graph, executor, Budget(granted))
    if inputs is not None:
        return check.run([(dict(inputs), {}, None)])
    fixed = dict(sizes or {})
    try:
        trial = find_trial(graph, check.refusal, fixed)
        if isinstance(trial, str):
            return Evidence(False, reason=f"no inputs were found that the model takes: {trial}")
        larger = roomier(graph, trial, check.refusal, fixed)
    except BudgetSpentError as error:
        return Evidence(False, reason=f"the check ended {error}, before inputs were found")
    return check.run([(draw(graph, t, seed), t.sizes, seed) for seed, t in enumerate((trial, larger))])


class _Check:
    def __init__(self, graph: Graph, executor: Executor, budget: Budget) -> None:
        self.graph = graph
        self.executor = executor
        self.budget = budget
        self.spans = 0
        self.share = 0.0
        self.loops = any(step.op in _LOOPS for step in executor.program.walk())

    def refusal(self, trial: Trial) -> str | None:
        """What the compiled model says to inputs of these sizes; None when it runs on them.

        A loop is first run in the reference, which ends: the model alone says how many turns it takes.
        """
        feeds = draw(self.graph, trial, 0)
        if self.loops:
            interpret(self.graph, feeds, self.budget)
        return refusal_of(lambda: self.executor.run(self._given(feeds)))

    def run(self, trials: list[tuple[dict[str, Any], Mapping[str, int], int | None]]) -> Evidence:
        """The comparisons, as far as the budget goes: each operator on the first inputs, the whole, then the others."""
        done: list[int | None] = []
        worst: float | None = None
        reason = ""
        try:
            for place, (feeds, _, seed) in enumerate(trials):
                self._follow(feeds)
                done.append(seed)
                if not place:
                    worst = self._whole(feeds)
        except BudgetSpentError as error:
            when = f"{len(done)} of {len(trials)} inputs" if done else f"{self.spans} comparisons"
            reason = f"its budget was spent {error}, with {when} done"
        except GraphoptError as error:
            if isinstance(error, CompileError):
                raise
            reason = f"the reference cannot run the model: {error}"
        return Evidence(
            checked=self.spans > 0,
            worst_difference=worst,
            comparisons=self.spans,
            share=self.share,
            seeds=tuple(seed for seed in done if seed is not None),
            sizes=dict(trials[0][1]),
            reason=reason,
        )

    def _given(self, feeds: Mapping[str, Any]) -> list[Any]:
        defaults = self.graph.defaults
        return [feeds[v.name] if v.name in feeds else elements(defaults[v]) for v in self.graph.inputs]

    def _follow(self, feeds: Mapping[str, Any]) -> None:
        lockstep = Lockstep(self.budget)
        try:
            lockstep.check(self.graph, bind(self.graph, feeds), Traced(self.executor, self._given(feeds)))
        finally:
            self.spans += len(lockstep.spans)
            self.share = max([self.share, *(span.share for span in lockstep.spans)])
        for span in lockstep.wrong:
            raise CompileError(
                f"the compiled model is wrong: {span}; compile with check=False (--no-check) to get it all the same,"
                " and report the model"
            )

    def _whole(self, feeds: Mapping[str, Any]) -> float:
        """The worst difference of an output from the reference's, relative to the output's largest element."""
        expected = interpret(self.graph, feeds, self.budget)
        got = dict(zip(self.graph.output_names, self.executor.run(self._given(feeds)), strict=True))
        found = (compare(expected[name], got[name], Exactness.REASSOCIATE) for name in expected)
        return max((difference.worst_relative for difference in found), default=0.0)
