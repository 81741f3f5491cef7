"""Every model of the corpus, read and written, then optimised: does ONNX Runtime still compute the same?

    python -m bench.corpus_roundtrip [NAME …] [--size typical] [--seeds 2] [--json] [--floors]

Source and result run with ONNX Runtime's optimisations off.  Reading and writing must not change a bit; optimising may
differ by the model's noise floor (`bench/corpus/floor.py`).  `--floors` measures these floors instead.  Exit code 1
when a model fails; a model whose package is not installed is named and skipped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import Literal

import onnx
from onnx import ModelProto

import graphopt
from bench.corpus import NAMES, MissingModelError, feeds, load, path
from bench.corpus.floor import difference, floor_of, run, tolerance
from graphopt.frontend import read_onnx, write_onnx

Size = Literal["small", "typical"]


@dataclass(slots=True)
class Outcome:
    """What became of one model."""

    name: str
    nodes: int = 0
    nodes_written: int = 0
    nodes_optimised: int = 0
    read_s: float = 0.0
    write_s: float = 0.0
    optimise_s: float = 0.0
    written_error: float = 0.0
    """Difference after reading and writing; 0 is wanted."""
    optimised_error: float = 0.0
    floor: float = 0.0
    valid: bool = True
    """Whether onnx's checker accepts what was written (where it accepts the source)."""
    skipped: str = ""
    failed: str = ""


def examine(name: str, size: Size, seeds: int) -> Outcome:
    """Put one model through reading, writing and optimising; never raises."""
    outcome = Outcome(name, floor=floor_of(name))
    try:
        source = load(name)
    except MissingModelError as missing:
        outcome.skipped = str(missing)
        return outcome
    outcome.nodes = _count(source)
    try:
        started = time.perf_counter()
        graph = read_onnx(path(name))
        outcome.read_s = time.perf_counter() - started
        started = time.perf_counter()
        written = write_onnx(graph)
        outcome.write_s = time.perf_counter() - started
        started = time.perf_counter()
        optimised = graphopt.optimize(path(name))
        outcome.optimise_s = time.perf_counter() - started
        outcome.nodes_written, outcome.nodes_optimised = _count(written), _count(optimised)
        outcome.valid = not _is_valid(source) or (_is_valid(written) and _is_valid(optimised))
        for seed in range(seeds):
            inputs = feeds(name, seed, size)
            expected = run(source, inputs)
            outcome.written_error = max(outcome.written_error, difference(expected, run(written, inputs)))
            error = difference(expected, run(optimised, inputs))
            outcome.optimised_error = max(outcome.optimised_error, error)
            if error > outcome.floor:
                outcome.floor = max(outcome.floor, tolerance(name, source, inputs))
    except Exception as error:  # noqa: BLE001  # one model that breaks must not hide the others
        outcome.failed = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return outcome
    if not outcome.valid:
        outcome.failed = "onnx's checker refuses what was written"
    elif outcome.written_error > 0:
        outcome.failed = f"reading and writing changes the results by {outcome.written_error:.1e}"
    elif outcome.optimised_error > outcome.floor:
        outcome.failed = f"optimising changes the results by {outcome.optimised_error:.1e}, above {outcome.floor:.0e}"
    return outcome


def measure_floor(name: str, size: Size, seeds: int) -> float:
    """The noise floor of one model: ONNX Runtime optimised against unoptimised."""
    model = load(name)
    found = 0.0
    for seed in range(seeds):
        inputs = feeds(name, seed, size)
        found = max(found, difference(run(model, inputs), run(model, inputs, optimised=True)))
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command; gives the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.corpus_roundtrip", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="models (default: all 36)")
    parser.add_argument("--size", choices=("small", "typical"), default="small")
    parser.add_argument("--seeds", type=int, default=2, help="how many seeded inputs (default 2)")
    parser.add_argument("--json", action="store_true", help="print data, no table")
    parser.add_argument("--floors", action="store_true", help="measure the noise floors instead")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"the corpus has no model {unknown[0]!r}; it has {', '.join(NAMES)}")
    names = options.names or list(NAMES)
    if options.floors:
        floors = {name: measure_floor(name, options.size, options.seeds) for name in names}
        print(json.dumps(floors, indent=2))
        return 0
    outcomes = [_examined(name, options, i, len(names)) for i, name in enumerate(names)]
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        _show(outcomes)
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _examined(name: str, options: argparse.Namespace, i: int, count: int) -> Outcome:
    if sys.stderr.isatty():
        print(f"\r{i + 1}/{count} {name:<24}", end="", file=sys.stderr, flush=True)
    outcome = examine(name, options.size, options.seeds)
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr, flush=True)
    return outcome


def _show(outcomes: list[Outcome]) -> None:
    print(
        f"{'model':<22} {'nodes':>6} {'read':>6} {'opt.':>6} {'read s':>7} {'opt. s':>7} "
        f"{'error':>8} {'floor':>7}  verdict"
    )
    for o in outcomes:
        if o.skipped:
            print(f"{o.name:<22} skipped: {o.skipped}")
            continue
        counts = f"{o.nodes:>6} {o.nodes_written:>6} {o.nodes_optimised:>6}"
        times = f"{o.read_s + o.write_s:>7.2f} {o.optimise_s:>7.2f}"
        print(f"{o.name:<22} {counts} {times} {o.optimised_error:>8.1e} {o.floor:>7.0e}  {o.failed or 'ok'}")
    failed, skipped = [o.name for o in outcomes if o.failed], [o.name for o in outcomes if o.skipped]
    print(f"\n{len(outcomes) - len(failed) - len(skipped)} of {len(outcomes)} models pass", end="")
    print(f"; failed: {', '.join(failed)}" if failed else "", f"; skipped: {', '.join(skipped)}" if skipped else "")


def _count(model: ModelProto) -> int:
    def count(graph: onnx.GraphProto) -> int:
        inner = sum(count(a.g) for node in graph.node for a in node.attribute if a.HasField("g"))
        return len(graph.node) + inner

    return count(model.graph)


def _is_valid(model: ModelProto) -> bool:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
