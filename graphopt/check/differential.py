"""Whether two models compute the same: both run on the same inputs, their outputs compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphopt.check.adversarial import adversarial_feeds
from graphopt.check.allowed import allowances
from graphopt.check.comparison import Difference, compare
from graphopt.check.interpreter import interpret
from graphopt.errors import GraphoptError, InputError
from graphopt.ir.graph import Graph
from graphopt.rewrite.exactness import Exactness

Runnable: TypeAlias = "Graph | Callable[[Mapping[str, Any]], Mapping[str, Any]]"


@dataclass(frozen=True, slots=True)
class OutputCheck:
    """One output of one trial."""

    trial: int
    name: str
    difference: Difference

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"trial": self.trial, "name": self.name, **self.difference.to_json()}


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found."""

    level: Exactness
    trials: int
    """Trials that ran on both sides."""
    outputs: tuple[OutputCheck, ...]
    skipped: tuple[str, ...] = ()
    """For each trial that the reference itself refuses (say, an index out of range): its sentence."""
    failures: tuple[str, ...] = ()
    """For each trial that the reference runs and the other side does not: its sentence."""

    @property
    def passed(self) -> bool:
        """Whether something ran, and all of it agrees."""
        return self.trials > 0 and not self.failures and all(o.difference.agrees for o in self.outputs)

    @property
    def worst(self) -> OutputCheck | None:
        """The output that is wrong or, when none is, the one with the largest relative error."""
        key = lambda o: (not o.difference.agrees, o.difference.worst_relative)  # noqa: E731
        return max(self.outputs, key=key, default=None)

    @property
    def worst_relative(self) -> float:
        """The largest error of any output, relative to the largest element of that output."""
        return max((o.difference.worst_relative for o in self.outputs), default=0.0)

    def __str__(self) -> str:
        worst = self.worst
        if self.failures and (worst is None or worst.difference.agrees):
            return self.failures[0]
        if not self.trials:
            return f"nothing could be checked: {self.skipped[0] if self.skipped else 'no trial was run'}"
        return "agrees" if worst is None else f"output {worst.name!r} {worst.difference} in trial {worst.trial}"

    def to_json(self) -> dict[str, Any]:
        """Plain data for reports and the manifest; of the outputs the worst alone, and every wrong one."""
        wrong = [o.to_json() for o in self.outputs if not o.difference.agrees]
        return {
            "passed": self.passed,
            "level": str(self.level),
            "trials": self.trials,
            "skipped": len(self.skipped),
            "failures": list(self.failures),
            "worst_relative": self.worst_relative,
            "worst": None if self.worst is None else self.worst.to_json(),
            "wrong": wrong,
        }


def check_model(
    before: Graph,
    after: Runnable,
    feeds: Sequence[Mapping[str, Any]] | None = None,
    *,
    level: Exactness | str = Exactness.REASSOCIATE,
    bound: float = 0.0,
    trials: int = 4,
    seed: int = 0,
) -> CheckReport:
    """Compare a graph with another one, or with anything that maps inputs by name to outputs by name.

    `feeds` are the inputs to use; without them, `trials` sets of adversarial ones are made.  At `reassociate` what
    an output may be off by is derived from the computation (`allowances`); at `approximate`, `bound` (relative to the
    output's largest element) is added to it.  Never raises for what the other side does: that is what it reports.
    """
    level = Exactness.parse(level)
    found: list[OutputCheck] = []
    skipped: list[str] = []
    failures: list[str] = []
    ran = 0
    exact = level is Exactness.EXACT
    for trial in range(trials if feeds is None else len(feeds)):
        try:
            fed = adversarial_feeds(before, trial, seed, exact) if feeds is None else feeds[trial]
            expected = interpret(before, fed)
        except GraphoptError as error:
            skipped.append(str(error))
            if feeds is not None and isinstance(error, InputError):
                raise
            continue
        try:
            got = interpret(after, fed) if isinstance(after, Graph) else after(fed)
        except GraphoptError as error:
            failures.append(f"trial {trial}: {error}")
            continue
        ran += 1
        allowed: Mapping[str, Any] = {} if exact else allowances(before, fed, expected)
        for name, value in expected.items():
            difference = compare(value, got.get(name), level, allowed.get(name), bound)
            found.append(OutputCheck(trial, name, difference))
    return CheckReport(level, ran, tuple(found), tuple(skipped), tuple(failures))


def check_application(
    region_before: Graph,
    region_after: Graph,
    level: Exactness | str = Exactness.EXACT,
    *,
    bound: float = 0.0,
    trials: int = 8,
    seed: int = 0,
) -> CheckReport:
    """Compare the region that a rewrite replaces with what it puts there, on adversarial values for its inputs' types.

    Both are graphs with the same inputs and outputs by name; an input that only one of them has is fed to that one.
    """
    names = {value.name for value in region_after.inputs}
    extra = [v for v in region_after.inputs if v.name not in {w.name for w in region_before.inputs}]
    if extra:
        raise InputError(f"the new region reads {extra[0].name!r}, which the old one does not have")

    def run(feeds: Mapping[str, Any]) -> Mapping[str, Any]:
        return interpret(region_after, {k: v for k, v in feeds.items() if k in names})

    return check_model(region_before, run, level=level, bound=bound, trials=trials, seed=seed)


class Oracle:
    """A graph's meaning, with what each result may be off by: the reference for whoever runs the graph otherwise.

    Results are kept for the inputs last asked for, so that several candidates are compared at the cost of one.
    """

    def __init__(self, graph: Graph, level: Exactness | str = Exactness.REASSOCIATE, bound: float = 0.0) -> None:
        self.graph = graph
        self.level = Exactness.parse(level)
        self.bound = bound
        self._last: tuple[Mapping[str, Any], dict[str, Any], dict[str, Any]] | None = None

    def expected(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs by name; errors as `interpret` raises them."""
        return self._computed(feeds)[0]

    def compare(self, feeds: Mapping[str, Any], got: Mapping[str, Any]) -> dict[str, Difference]:
        """How each output that came differs from the expected one."""
        expected, allowed = self._computed(feeds)
        return {
            name: compare(value, got.get(name), self.level, allowed.get(name), self.bound)
            for name, value in expected.items()
        }

    def _computed(self, feeds: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        if self._last is None or self._last[0] is not feeds:
            expected = interpret(self.graph, feeds)
            exact = self.level is Exactness.EXACT
            self._last = (feeds, expected, {} if exact else allowances(self.graph, feeds, expected))
        return self._last[1], self._last[2]
