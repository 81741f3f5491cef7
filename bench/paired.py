"""Latency of two checkouts of graphopt, beside each other: does a change make models slower?

    python -m bench.paired ../before . dtln_1 silero_vad        two checkouts, models of the corpus or paths
    options: --rounds 40  --block 0.05  --threads 1  --size small|typical  --json

Each checkout compiles the model and answers the same request in a process of its own.  The two take turns, a block of
calls each, and swap who goes first every round; a round's ratio is the second checkout's fastest call over the first's,
because what else a machine does only ever adds.  What is shown is the median of the ratios, with the spread of the
middle half: above 1 where the second is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Pair:
    """What was measured of one model: milliseconds of each checkout, and the quartiles of the ratios."""

    model: str
    first_ms: float
    second_ms: float
    low: float
    ratio: float
    high: float


class Side:
    """One checkout with one model, in a process of its own."""

    def __init__(self, checkout: Path, model: str, options: Any) -> None:
        roots = [checkout, checkout / "kernels", checkout / "governance"]
        command = [sys.executable, "-P", __file__, "--serve", model, "--size", options.size]
        self.process = subprocess.Popen(
            [*command, "--threads", str(options.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(str(root.resolve()) for root in roots)},
        )

    def ask(self, calls: int) -> float:
        """The seconds of the fastest of so many calls."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{' '.join(self.process.args[2:])} ended with {self.process.wait()}")  # pyright: ignore
        return float(answer)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def serve(model: str, options: Any) -> None:
    """Answer each number of calls on a line with the seconds of the fastest."""
    import graphopt
    from bench import corpus
    from bench.models import _drawn  # pyright: ignore[reportPrivateUsage]

    known = model in corpus.NAMES
    path = corpus.path(model) if known else Path(model)
    feeds = corpus.feeds(model, size=options.size) if known else _drawn(path, {})
    compiled = graphopt.compile(path, check=False, threads=options.threads)
    for line in sys.stdin:
        times: list[float] = []
        for _ in range(int(line)):
            start = time.perf_counter()
            compiled(feeds)
            times.append(time.perf_counter() - start)
        print(min(times), flush=True)


def measure(model: str, options: Any) -> Pair:
    """Both checkouts on one model."""
    sides = [Side(Path(checkout), model, options) for checkout in (options.first, options.second)]
    once = max(side.ask(3) for side in sides)
    calls = max(3, int(options.block / max(once, 1e-6)))
    times: list[list[float]] = [[], []]
    for round_ in range(options.rounds):
        for which in (0, 1) if round_ % 2 else (1, 0):
            times[which].append(sides[which].ask(calls))
    for side in sides:
        side.close()
    low, middle, high = statistics.quantiles([b / a for a, b in zip(*times, strict=True)], n=4)
    first, second = (statistics.median(found) * 1e3 for found in times)
    return Pair(model, first, second, low, middle, high)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.paired", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--serve", metavar="MODEL", help=argparse.SUPPRESS)
    parser.add_argument("first", nargs="?", help="a checkout")
    parser.add_argument("second", nargs="?", help="another")
    parser.add_argument("models", nargs="*", help="names of the corpus, or paths")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--block", type=float, default=0.05, help="seconds of calls before the other's turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", choices=["small", "typical"], default="small")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options)
        return
    if not options.models:
        parser.error("name two checkouts and at least one model")
    pairs = [measure(model, options) for model in options.models]
    if options.json:
        print(json.dumps([asdict(pair) for pair in pairs], indent=1))
    for pair in pairs if not options.json else ():
        ratio = f"{pair.ratio:.3f} ({pair.low:.3f} to {pair.high:.3f})"
        print(f"{pair.model:28} {pair.first_ms:9.4f} ms {pair.second_ms:9.4f} ms  {ratio}")


if __name__ == "__main__":
    main()
