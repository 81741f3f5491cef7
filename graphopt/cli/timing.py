"""Times that can be compared on a busy machine: engines take turns, and a ratio is taken within one round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

WARM_UP = 0.2
"""Seconds each engine runs before anything counts: plans are made, caches filled, clocks raised."""
LEAST_ROUND = 1e-3
"""Seconds one engine's turn takes at least; short calls are repeated within it, so that the clock is fine enough."""
FEWEST_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds for one call, over all rounds; `ratio` is to the first engine, round by round."""

    name: str
    median: float
    lower: float
    upper: float
    least: float
    ratio: float
    rounds: int


def take_turns(engines: Mapping[str, Callable[[], object]], budget: float) -> list[Timing]:
    """Runs the engines in turn, for about `budget` seconds in all, each round in another order."""
    repeats = {name: _warm_up(call) for name, call in engines.items()}
    names = list(engines)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    end = time.perf_counter() + budget
    rounds = 0
    while rounds < FEWEST_ROUNDS or time.perf_counter() < end:
        turn = rounds % len(names)
        for name in (*names[turn:], *names[:turn]):
            seconds[name].append(_time(engines[name], repeats[name]))
        rounds += 1
    return [_timing(name, seconds[name], seconds[names[0]]) for name in names]


def _warm_up(call: Callable[[], object]) -> int:
    """How many calls make a round; the engine is warm afterwards."""
    call()
    start = time.perf_counter()
    calls = 0
    while calls < 1 or time.perf_counter() - start < WARM_UP:
        call()
        calls += 1
    return max(1, round(LEAST_ROUND / ((time.perf_counter() - start) / calls)))


def _time(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _timing(name: str, seconds: Sequence[float], first: Sequence[float]) -> Timing:
    lower, median, upper = statistics.quantiles(seconds, n=4, method="inclusive")
    ratio = statistics.median(mine / theirs for mine, theirs in zip(seconds, first, strict=True))
    return Timing(name, median, lower, upper, min(seconds), ratio, len(seconds))
