"""`graphopt run`: a bundle, through the gate, on one request."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphopt.cli.options import (
    AsJson,
    BundlePath,
    ChainOption,
    DimOption,
    InputOption,
    MaxAgeOption,
    NoGateOption,
    OfflineOption,
    PolicyOption,
    RandomOption,
    ThreadsOption,
    seconds,
)
from graphopt.cli.progress import step
from graphopt.errors import InputError

if TYPE_CHECKING:
    from graphopt.report import Report


def run(
    bundle: BundlePath,
    inputs: InputOption = None,
    seed: RandomOption = None,
    dims: DimOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="OUT.npz", help="Where to write the outputs.", show_default=False)
    ] = None,
    threads: ThreadsOption = None,
    no_gate: NoGateOption = False,
    chain: ChainOption = None,
    policy: PolicyOption = None,
    offline: OfflineOption = False,
    max_age: MaxAgeOption = None,
    as_json: AsJson = False,
) -> None:
    """Run a bundle on one request, if it may run.

    Every byte of the bundle is checked against its manifest, and the gate is asked whether that manifest is
    approved; nothing of the bundle is executed before both agreed. The outputs are summarised, and written where
    --output says.

    \b
    Examples:
      graphopt run model.bundle --input request.npz --output answer.npz
      graphopt run model.bundle --random 0 --dim N=4
    """
    import graphopt
    from graphopt.cli.feeds import choose_feeds
    from graphopt.cli.gate import chosen_gate
    from graphopt.cli.output import check_writable, write_npz
    from graphopt.report import show

    if output is not None:
        check_writable(output)
    with step(f"loading {bundle}"):
        gate = chosen_gate(no_gate=no_gate, chain=chain, policy=policy, offline=offline, max_age=seconds(max_age))
        compiled = graphopt.load(bundle, gate=gate, threads=threads)
    feeds = choose_feeds(compiled.inputs, inputs, seed, dims or ())
    with step("running"):
        start = time.perf_counter()
        outputs = compiled(feeds)
        took = time.perf_counter() - start
    if output is not None:
        write_npz(output, _arrays(outputs))
    show(_report(outputs, took, compiled.threads), as_json=as_json)


def _arrays(outputs: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    for name, value in outputs.items():
        if not isinstance(value, np.ndarray):
            raise InputError(f"output {name!r} is no tensor, and an .npz file holds nothing else")
    return outputs


def _report(outputs: dict[str, Any], seconds: float, threads: int) -> Report:
    from graphopt.report import Column, Entry, Facts, Format, Report, Table

    facts = (
        Entry("seconds", "first run, planning included", seconds, Format.SECONDS),
        Entry("threads", "threads", threads, Format.COUNT),
    )
    columns = (
        Column("name", "name"),
        Column("type", "type"),
        Column("least", "least", Format.NUMBER),
        Column("mean", "mean", Format.NUMBER),
        Column("largest", "largest", Format.NUMBER),
        Column("not_finite", "not finite", Format.COUNT),
    )
    rows = tuple((name, *_summary(value)) for name, value in outputs.items())
    return Report((Facts("", "Run", facts), Table("outputs", "Outputs", columns, rows)))


def _summary(value: Any) -> tuple[str, float | None, float | None, float | None, int | None]:
    import numpy as np

    if not isinstance(value, np.ndarray):
        return type(value).__name__, None, None, None, None
    text = f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if value.dtype.kind in "OSUc" or not value.size:
        return text, None, None, None, None
    numbers = value.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    if not finite.size:
        return text, None, None, None, value.size
    return text, float(finite.min()), float(finite.mean()), float(finite.max()), int(value.size - finite.size)
