"""Latency of whole models beside ONNX Runtime, in one process, one call after the other.

    python -m bench.models                                  the core models, small inputs, one thread
    python -m bench.models rand_resnet50 --profile          time call by call, beside ONNX Runtime's own profile
    python -m bench.models path/to/model.onnx --dim N=4     a model of one's own
    options: --against onnxruntime|none  --threads N  --size small|typical  --seconds S  --json

Each figure is the median of pairs of runs that alternate between the two, with the spread of the middle half; the
ratio is the median of the pairs' ratios, above 1 where graphopt is faster.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphopt.compiler import compile as compile_model
from graphopt.errors import GraphoptError
from graphopt.runtime import Compiled

Run = Callable[[], object]


@dataclass(slots=True)
class Result:
    """What was measured of one model; times in milliseconds."""

    model: str
    steps: int = 0
    native: int = 0
    not_native: dict[str, int] = field(default_factory=dict[str, int])
    compile_seconds: float = 0.0
    graphopt_ms: float = 0.0
    graphopt_spread: tuple[float, float] = (0.0, 0.0)
    peer_ms: float | None = None
    peer_spread: tuple[float, float] = (0.0, 0.0)
    ratio: float | None = None
    difference: float | None = None
    """Largest difference from ONNX Runtime without optimisation, relative to the largest element of each output."""
    problem: str = ""


def main() -> None:
    """The command line."""
    options = _options()
    names: list[str] = options.models or _core()
    results: list[Result] = []
    for name in names:
        result = Result(name)
        try:
            model, feeds = _model(name, options)
            start = time.perf_counter()
            compiled = compile_model(model, check=False, threads=options.threads)
            result.compile_seconds = time.perf_counter() - start
            _measure(result, compiled, model, feeds, options)
            if options.profile:
                _show_profile(compiled, model, feeds, options)
        except GraphoptError as error:
            result.problem = str(error)
        results.append(result)
        if not options.json:
            print(_line(result), flush=True)
    if options.json:
        machine = {"machine": platform.processor() or platform.machine(), "threads": options.threads}
        print(json.dumps({**machine, "results": [asdict(result) for result in results]}, indent=1))


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench.models", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", nargs="*", help="names of the corpus, or paths")
    parser.add_argument("--against", choices=["onnxruntime", "none"], default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", choices=["small", "typical"], default="small")
    parser.add_argument("--seconds", type=float, default=2.0, help="time to measure each model for")
    parser.add_argument("--dim", action="append", default=[], metavar="N=4", help="size of a symbolic dimension")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _core() -> list[str]:
    from bench.corpus import CORE

    return list(CORE)


def _model(name: str, options: Any) -> tuple[Path, dict[str, np.ndarray]]:
    from bench import corpus

    if name in corpus.NAMES:
        return corpus.path(name), corpus.feeds(name, size=options.size)
    path = Path(name)
    return path, _drawn(path, {k: int(v) for k, _, v in (text.partition("=") for text in options.dim)})


def _drawn(path: Path, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    from graphopt.cli.feeds import random_feeds
    from graphopt.frontend import read_onnx

    graph = read_onnx(path)
    return dict(random_feeds({v.name: v.type for v in graph.inputs if v not in graph.defaults}, 0, sizes))


def _measure(result: Result, compiled: Compiled, model: Path, feeds: dict[str, np.ndarray], options: Any) -> None:
    report = compiled.report
    result.steps, result.native, result.not_native = report.steps, report.native, dict(report.not_native)
    mine: Run = lambda: compiled(feeds)  # noqa: E731  - a pair of runs reads better so
    if options.against == "none":
        times = _times([mine], options.seconds)[0]
        result.graphopt_ms, result.graphopt_spread = _summary(times)
        return
    result.difference = _difference(compiled(feeds), _session(model, 1, optimised=False), feeds)
    session = _session(model, options.threads, optimised=True)
    ours, theirs = _times([mine, lambda: session.run(None, feeds)], options.seconds)
    result.graphopt_ms, result.graphopt_spread = _summary(ours)
    result.peer_ms, result.peer_spread = _summary(theirs)
    result.ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def _times(runs: Sequence[Run], seconds: float) -> list[list[float]]:
    """Seconds of each run, taken in turns: at least 5, after a warm-up."""
    for run in runs:
        run()
        run()
    times: list[list[float]] = [[] for _ in runs]
    end = time.perf_counter() + seconds
    while len(times[0]) < 5 or (time.perf_counter() < end and len(times[0]) < 5000):
        for run, found in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            found.append(time.perf_counter() - start)
    return times


def _summary(times: Sequence[float]) -> tuple[float, tuple[float, float]]:
    low, middle, high = statistics.quantiles(times, n=4)
    return middle * 1e3, (low * 1e3, high * 1e3)


def _session(model: Path, threads: int, *, optimised: bool, profile: Path | None = None) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def _difference(found: Mapping[str, Any], session: Any, feeds: Mapping[str, np.ndarray]) -> float:
    names = [output.name for output in session.get_outputs()]
    worst = 0.0
    for name, wanted in zip(names, session.run(None, dict(feeds)), strict=True):
        if not isinstance(wanted, np.ndarray) or wanted.dtype.kind in "OSU" or not wanted.size:
            continue
        a, b = wanted.astype(np.float64), np.asarray(found[name]).astype(np.float64)
        worst = max(worst, float(np.abs(a - b).max() / max(float(np.abs(a).max()), 1e-6)))
    return worst


def _line(result: Result) -> str:
    if result.problem:
        return f"{result.model:24} {result.problem}"
    low, high = result.graphopt_spread
    text = f"{result.model:24} {result.native:4}/{result.steps:<4} native"
    text += f" {result.graphopt_ms:9.3f} ms [{low:.3f}, {high:.3f}]"
    if result.peer_ms is not None and result.ratio is not None and result.difference is not None:
        low, high = result.peer_spread
        text += f"   onnxruntime {result.peer_ms:9.3f} ms [{low:.3f}, {high:.3f}]   ratio {result.ratio:.3f}"
        text += f"   difference {result.difference:.1e}"
    return text + (f"   not native: {result.not_native}" if result.not_native else "")


def _show_profile(compiled: Compiled, model: Path, feeds: dict[str, np.ndarray], options: Any) -> None:
    calls = compiled.profile(feeds, repeats=7)
    total = sum(call.seconds for call in calls)
    out = sys.stderr if options.json else sys.stdout
    print(f"\n{'graphopt: step':60} {'µs':>10} {'%':>6}", file=out)
    for call in calls:
        label = "+".join([call.op, *call.absorbed]) + f" [{call.family or 'meaning'}] {call.name}"
        print(f"{label[:60]:60} {call.seconds * 1e6:10.1f} {100 * call.seconds / total:6.2f}", file=out)
    print(f"{'sum':60} {total * 1e6:10.1f}\n", file=out)
    if options.against == "none":
        return
    rows = _peer_profile(model, feeds, options.threads)
    theirs = sum(us for _, us in rows)
    print(f"{'onnxruntime: node':60} {'µs':>10} {'%':>6}", file=out)
    for label, us in rows:
        print(f"{label[:60]:60} {us:10.1f} {100 * us / theirs:6.2f}", file=out)
    print(f"{'sum':60} {theirs:10.1f}\n", file=out)


def _peer_profile(model: Path, feeds: dict[str, np.ndarray], threads: int) -> list[tuple[str, float]]:
    """ONNX Runtime's nodes with the median of their times in microseconds, in order."""
    with tempfile.TemporaryDirectory() as folder:
        session = _session(model, threads, optimised=True, profile=Path(folder) / "profile")
        for _ in range(8):
            session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times[f"{event['args'].get('op_name', '')} {event['name'].removesuffix('_kernel_time')}"].append(
                event["dur"]
            )
    return [(label, statistics.median(found[1:] or found)) for label, found in times.items()]


if __name__ == "__main__":
    main()
