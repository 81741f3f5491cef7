"""The whole path on a real model: from `digits.onnx` to a verified, anchored, running bundle.

    python examples/digits/run.py [--json] [--keep FOLDER]

Optimises the classifier, compiles it, checks it against the reference, signs its manifest, anchors it on an embedded
chain, loads the bundle through the gate, and classifies the held-out images that `train.py` never saw.  Keys, chain and
bundle live in a temporary folder, or in FOLDER, where the commands of docs/tutorial.md can go on with them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

import graphopt
from graphopt.cli.peers import chosen_peers, open_peer
from graphopt.cli.progress import phases
from graphopt.cli.timing import take_turns
from graphopt.report import Cell, Column, Entry, Facts, Format, Report, Table, show
from graphopt_governance import actions
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home

HERE = Path(__file__).parent
MODEL = HERE / "digits.onnx"
BRIGHTEST = np.float32(16)
BATCHES = (1, 16, 256)
SECONDS = 2.0
"""Measured for each batch size, all engines together."""

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Images:
    """The held-out images, float32 N×1×8×8 in 0..1, and what they show, int64 N."""

    pixels: np.ndarray
    labels: np.ndarray

    @classmethod
    def load(cls) -> Images:
        """Those beside this file."""
        with np.load(HERE / "test.npz") as archive:
            return cls(archive["image"][:, None].astype(np.float32) / BRIGHTEST, archive["label"])

    def accuracy(self, logits: np.ndarray) -> float:
        """How many of the images the logits (float32 N×10) name rightly, as a fraction of one."""
        return float((logits.argmax(axis=1) == self.labels).mean())


def main() -> int:
    """Does the job and prints the tables; the exit code, 2 when a step refused, with one sentence that says why."""
    parser = argparse.ArgumentParser(description="From digits.onnx to a verified, anchored, running bundle.")
    parser.add_argument("--json", action="store_true", help="print the same as data")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep bundle, keys and chain here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graphopt-digits-") as temporary:
        folder: Path = options.keep or Path(temporary)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with phases() as tell:
                report = whole_path(folder, tell)
        except (graphopt.GraphoptError, OSError) as error:
            print(f"graphopt: {error}", file=sys.stderr)
            return 2
        show(report, as_json=options.json)
    if options.keep and not options.json:
        print(f"Kept in {options.keep}; GRAPHOPT_HOME={options.keep / 'home'} names its keys and chain.")
    return 0


def whole_path(folder: Path, tell: Tell) -> Report:
    """Every step, in order, in `folder`; what each gave."""
    images = Images.load()
    home = Home(folder / "home")
    bundle = folder / "digits.bundle"
    start = time.perf_counter()

    compiled = graphopt.compile(MODEL, progress=tell)
    compiled.save(bundle)
    tell("signing")
    signed = actions.sign(bundle, home)
    tell("anchoring")
    anchored = actions.anchor(bundle, "digits", home=home)
    tell("loading through the gate")
    loaded = graphopt.load(bundle, gate=ChainGate.default(home))

    tell("classifying with the reference")
    reference = classify_with_reference(images.pixels)
    tell("classifying with the bundle")
    logits = loaded({"image": images.pixels})["logits"]
    difference = float(np.abs(logits - reference).max() / np.abs(reference).max())
    seconds = time.perf_counter() - start
    tell("measuring")
    latency = measure(loaded, images)

    counts = compiled.report.counts[compiled.report.target]
    outcome = Facts(
        "",
        "Handwritten digits, from model to anchored bundle",
        (
            Entry("nodes_before", "nodes before", compiled.report.nodes_before, Format.COUNT),
            Entry("nodes_after", "nodes after", compiled.report.nodes_after, Format.COUNT),
            Entry("calls", "calls", counts.steps - counts.alias - counts.settled, Format.COUNT),
            Entry("native_calls", "of these native", counts.native, Format.COUNT),
            Entry("target", "for", compiled.report.target),
            Entry("checked_difference", "worst difference, check", compiled.report.worst_difference, Format.ERROR),
            Entry("image_difference", "worst difference, images", difference, Format.ERROR),
            Entry("images", "test images", len(images.labels), Format.COUNT),
            Entry("accuracy_before", "accuracy before", images.accuracy(reference), Format.PERCENT),
            Entry("accuracy_after", "accuracy after", images.accuracy(logits), Format.PERCENT),
            Entry("digest", "digest", anchored.digest),
            Entry("signing_key", "signed by the key", signed.key),
            Entry("block", "anchored in block", anchored.block, Format.COUNT),
            Entry("block_time", "at", anchored.block_time, Format.TIME),
            Entry("chain", "of chain", f"{anchored.chain}, embedded: one operator's, without consensus"),
            Entry("seconds", "all this took", seconds, Format.SECONDS),
        ),
    )
    return Report((outcome, rewrites(compiled.report.rewrites), not_native(counts.meanings), latency))


def classify_with_reference(pixels: np.ndarray) -> np.ndarray:
    """The source model's logits, by ONNX's own reference implementation."""
    (logits,) = ReferenceEvaluator(onnx.load(MODEL)).run(None, {"image": pixels})  # pyright: ignore[reportGeneralTypeIssues]
    return np.asarray(logits)


def rewrites(applied: tuple[tuple[str, int], ...]) -> Table:
    """Which rewrites applied, and how often."""
    columns = (Column("name", "rewrite"), Column("count", "applied", Format.COUNT))
    return Table("rewrites", "Rewrites", columns, tuple(applied))


def not_native(meanings: Mapping[str, int]) -> Table:
    """What still runs in Python."""
    columns = (Column("operator", "operator"), Column("count", "calls", Format.COUNT))
    return Table("not_native", "Calls that are not native", columns, tuple(meanings.items()))


def measure(loaded: Any, images: Images) -> Table:
    """Seconds for one call, beside ONNX Runtime where it is installed, on one thread each."""
    threads, loaded.threads = loaded.threads, 1
    engines = {"graphopt": loaded} | {name: open_peer(name, MODEL.read_bytes(), 1) for name in chosen_peers(None)}
    rows: list[tuple[Cell, ...]] = []
    for batch in BATCHES:
        feeds = {"image": np.ascontiguousarray(images.pixels[:batch])}
        calls = {name: lambda e=engine, f=feeds: e(f) for name, engine in engines.items()}
        rows += [(t.name, batch, t.median, t.lower, t.upper, t.ratio) for t in take_turns(calls, SECONDS)]
    loaded.threads = threads
    columns = (
        Column("engine", "engine"),
        Column("batch", "images", Format.COUNT),
        Column("median", "median", Format.SECONDS),
        Column("lower_quartile", "from", Format.SECONDS),
        Column("upper_quartile", "to", Format.SECONDS),
        Column("ratio", "time to ours", Format.RATIO),
    )
    title = "One call, one thread" + ("" if len(engines) > 1 else " (install onnxruntime to compare)")
    return Table("latency", title, columns, tuple(rows))


if __name__ == "__main__":
    sys.exit(main())
