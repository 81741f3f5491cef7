"""`graphopt bench`: a model's speed, beside other engines in the same run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphopt.cli.options import (
    AsJson,
    DimOption,
    EitherPath,
    InputOption,
    NoGateOption,
    RandomOption,
    ThreadsOption,
)
from graphopt.cli.progress import phases

if TYPE_CHECKING:
    from graphopt.cli.timing import Timing
    from graphopt.report import Report
    from graphopt.runtime import Compiled


def bench(
    path: EitherPath,
    inputs: InputOption = None,
    seed: RandomOption = None,
    dims: DimOption = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="ENGINES",
            help="onnxruntime, openvino, or both separated by a comma; ONNX Runtime where installed when left out.",
            show_default=False,
        ),
    ] = None,
    threads: ThreadsOption = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.0, max=3600.0, help="How long to measure, all engines together.")
    ] = 5.0,
    no_gate: NoGateOption = False,
    as_json: AsJson = False,
) -> None:
    """Measure a model or a bundle, beside other engines.

    The engines take turns, so that a busy machine slows all of them alike; shown are the median of a call, the
    middle half of all calls, and the ratio within a round. Each engine's results are compared with ours as well. A
    model is compiled for this machine first; of a bundle, the others run its optimised model. Inputs that are not
    given are drawn from seed 0, open dimensions as 1.

    \b
    Examples:
      graphopt bench model.onnx --dim N=8 --threads 1
      graphopt bench model.bundle --input request.npz --against onnxruntime,openvino
    """
    from graphopt.cli.feeds import choose_feeds
    from graphopt.cli.peers import chosen_peers, open_peer
    from graphopt.cli.timing import take_turns
    from graphopt.report import show

    peers = chosen_peers(against)
    count = threads or os.cpu_count() or 1
    with phases() as tell:
        compiled, model = _open(path, count, tell, no_gate=no_gate)
        feeds = choose_feeds(compiled.inputs, inputs, seed, dims or (), default_size=1)
        engines: dict[str, Any] = {"graphopt": compiled}
        for name in peers:
            tell(f"opening {name}")
            engines[name] = open_peer(name, model, count)
        tell("comparing results")
        results = {name: engine(feeds) for name, engine in engines.items()}
        tell("measuring")
        timings = take_turns({name: lambda e=engine: e(feeds) for name, engine in engines.items()}, seconds)
    differences = {name: worst_difference(results["graphopt"], given) for name, given in results.items()}
    show(_report(path, count, feeds, timings, differences), as_json=as_json)


def _open(path: Path, threads: int, tell: Any, *, no_gate: bool) -> tuple[Compiled, bytes]:
    """The model or bundle ready to run, and the ONNX model that the other engines get."""
    import graphopt
    from graphopt.cli.failure import warn
    from graphopt.cli.gate import chosen_gate
    from graphopt.cli.source import bundled_model

    if path.is_dir():
        tell(f"loading {path}")
        compiled = graphopt.load(path, gate=chosen_gate(no_gate=no_gate), threads=threads)
        return compiled, bundled_model(path, compiled.report.manifest)
    from graphopt_kernels.cache import why_unused
    from graphopt_kernels.targets import host_targets

    if (why := why_unused()) is not None:
        warn(f"{why}; compiling takes longer")

    compiled = graphopt.compile(path, targets=host_targets()[:1], threads=threads, check=False, progress=tell)
    return compiled, _self_contained(path)


def _self_contained(path: Path) -> bytes:
    """The model's bytes with its external data inside."""
    import onnx

    return onnx.load(path).SerializeToString()


def worst_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float | None:
    """The largest difference of any element, relative to the largest of its output; None for what is not numbers."""
    import numpy as np

    worst = 0.0
    for (name, mine), other in zip(ours.items(), theirs.values(), strict=True):
        if not isinstance(mine, np.ndarray) or mine.dtype.kind in "OSU":
            return None
        if mine.shape != np.shape(other):
            return float("inf")
        first, second = mine.astype(np.complex128), np.asarray(theirs.get(name, other)).astype(np.complex128)
        with np.errstate(invalid="ignore"):
            same = (first == second) | (np.isnan(first) & np.isnan(second))
            gaps = np.abs(first - second)[~same]
        scale = float(np.abs(second[np.isfinite(second)]).max(initial=0.0)) or 1.0
        worst = max(worst, float(np.nan_to_num(gaps, nan=np.inf).max(initial=0.0)) / scale)
    return worst


def _report(
    path: Path, threads: int, feeds: dict[str, Any], timings: list[Timing], differences: dict[str, float | None]
) -> Report:
    from graphopt.report import Column, Entry, Facts, Format, Report, Table

    shapes = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in feeds.items())
    facts = (
        Entry("path", "measured", str(path)),
        Entry("threads", "threads", threads, Format.COUNT),
        Entry("inputs", "inputs", shapes),
        Entry("rounds", "rounds", timings[0].rounds, Format.COUNT),
    )
    columns = (
        Column("engine", "engine"),
        Column("median", "median", Format.SECONDS),
        Column("lower_quartile", "from", Format.SECONDS),
        Column("upper_quartile", "to", Format.SECONDS),
        Column("least", "least", Format.SECONDS),
        Column("ratio", "time to ours", Format.RATIO),
        Column("difference", "difference", Format.ERROR),
    )
    rows = tuple((t.name, t.median, t.lower, t.upper, t.least, t.ratio, differences[t.name]) for t in timings)
    return Report((Facts("", "Bench", facts), Table("engines", "One call", columns, rows)))
