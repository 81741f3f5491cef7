"""Kernels beside numpy and ONNX Runtime, and beneath the machine's roof: `python -m bench.kernels`.

All that is compared runs in one process, in turn, round after round, so that a busy machine hurts all alike; a ratio is
the median of the rounds' ratios.  Times are medians, with half the spread between the quartiles.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.cases import CASES, Case
from bench.loop_cases import LOOPS
from bench.roofline import Roof, machine_name, measure_roof, plot
from graphopt_kernels.bind.table import families_for, family
from graphopt_kernels.harness import Bound
from graphopt_kernels.targets import host_targets

OPSET = 17


def main() -> int:
    """Measure, print a table or JSON, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--target", default="", help="an instruction set (default: the host's best)")
    parser.add_argument("--seconds", type=float, default=0.3, help="time for each case and contestant")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--plot", type=Path, help="where to draw the roofline (SVG or PNG)")
    options = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != str(options.threads):
        # numpy reads this once, when it is imported
        os.environ["OPENBLAS_NUM_THREADS"] = str(options.threads)
        os.execv(sys.executable, [sys.executable, "-m", "bench.kernels", *sys.argv[1:]])
    if not host_targets():
        print("no target of graphopt fits this machine", file=sys.stderr)
        return 2
    target = options.target or host_targets()[0]
    roofs = [measure_roof(name) for name in host_targets()]
    rows = [
        measure(case, target, options.threads, options.seconds)
        for case in (*CASES, *LOOPS)
        if options.only in case.name
    ]
    report = {
        "machine": machine_name(),
        "target": target,
        "threads": options.threads,
        "roofs": [asdict(roof) for roof in roofs],
        "kernels": rows,
    }
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        show(report, roofs)
    if options.plot:
        served = [row for row in rows if row["ours"] and row["flops"]]  # a log scale has no place for no operations
        drawn = [(r["name"], r["flops"] / r["bytes"], r["flops"] / r["ours"]["median"] / 1e9) for r in served]
        plot(options.plot, roofs, drawn, machine_name())
    return 0


def measure(case: Case, target: str, threads: int, seconds: float) -> dict[str, Any]:
    """One row of the table: times in seconds, worst difference from ONNX Runtime relative to its largest output."""
    contestants: dict[str, Callable[[], Any]] = {}
    arrays = case.inputs()
    output = np.empty(case.output, np.float32)
    bound = ours(case, arrays, output, target, threads)
    if bound is not None:
        contestants["ours"] = lambda: bound.run(threads)
    if case.numpy is not None:
        function = case.numpy
        contestants["numpy"] = lambda: function(*arrays)
    session = onnxruntime_session(case, arrays, threads)
    error = None
    if session is not None:
        run, result = session
        contestants["onnxruntime"] = run
        if bound is not None:
            expected = result()
            error = float(np.abs(bound.run(threads)[0] - expected).max() / max(float(np.abs(expected).max()), 1e-30))
    times = in_turn(contestants, seconds)
    return {
        "name": case.name, "flops": case.flops, "bytes": case.nbytes, "error": error,
        **{name: times.get(name) for name in ("ours", "numpy", "onnxruntime")},
    }  # fmt: skip


def ours(case: Case, arrays: list[np.ndarray], output: np.ndarray, target: str, threads: int) -> Bound | None:
    """The case bound to the first family that serves it; None when none does."""
    attributes: dict[str, Any] = {**case.attributes, "op": case.op, "version": OPSET, "threads": threads}
    for name in families_for(case.op):
        chosen = family(name)
        specs = chosen.select(case.op, OPSET, [a.dtype for a in arrays], attributes)
        if specs is None:
            continue
        pack: Callable[..., np.ndarray | None] | None = getattr(chosen, "pack", None)
        packed = {i: pack(i, arrays[i], attributes) for i in case.constants} if pack is not None else {}
        ready = {i: p for i, p in packed.items() if p is not None}
        attributes["packed"] = tuple(ready)
        return Bound(chosen, specs, arrays, [output], attributes, target, packed=ready)
    return None


def onnxruntime_session(
    case: Case, arrays: list[np.ndarray], threads: int
) -> tuple[Callable[[], Any], Callable[[], np.ndarray]] | None:
    """ONNX Runtime on the same node: a call with its arrays bound beforehand, and one that gives the result."""
    try:
        import onnxruntime
    except ImportError:
        return None
    from onnx import TensorProto, helper, numpy_helper

    make_node: Any = helper.make_node

    names = [f"x{i}" for i in range(len(arrays))]
    attributes = {k: list(v) if isinstance(v, tuple) else v for k, v in case.attributes.items()}
    constants = [numpy_helper.from_array(arrays[i], names[i]) for i in sorted(case.constants)]
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for i, (n, a) in enumerate(zip(names, arrays, strict=True))
        if i not in case.constants
    ]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, case.output)
    node = make_node(case.op, names, ["y"], **attributes)
    graph = helper.make_graph([node], "case", inputs, [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session: Any = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    binding = session.io_binding()
    feeds = {n: a for i, (n, a) in enumerate(zip(names, arrays, strict=True)) if i not in case.constants}
    for name, array in feeds.items():
        binding.bind_cpu_input(name, array)
    binding.bind_output("y")
    return (lambda: session.run_with_iobinding(binding)), (lambda: session.run(None, feeds)[0])


def in_turn(contestants: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, dict[str, float]]:
    """Median and quartiles of each, and its ratio to ours, measured round after round until each had its time."""
    for run in contestants.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.perf_counter() + seconds * len(contestants)
    while time.perf_counter() < end or any(len(t) < 5 for t in taken.values()):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - start)
    base = np.array(taken.get("ours", next(iter(taken.values()))))
    return {
        name: dict(zip(("q1", "median", "q3"), map(float, np.percentile(t, [25, 50, 75])), strict=True))
        | {"best": min(t), "runs": len(t), "ratio": float(np.median(np.array(t) / base))}
        for name, t in taken.items()
    }


def show(report: Mapping[str, Any], roofs: list[Roof]) -> None:
    """The table for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(f"{report['machine']}; {report['target']}, threads: {report['threads']}")
    for roof in roofs:
        console.print(
            f"  roof of one thread, {roof.target}: {roof.gflops:.0f} GFLOP/s, "
            f"{roof.cache_gbs:.0f} GB/s in cache, {roof.memory_gbs:.0f} GB/s in memory"
        )
    table = Table(box=None, header_style="bold")
    for title in ("kernel", "median µs", "± %", "GFLOP/s", "of roof", "GB/s", "vs numpy", "vs ORT", "difference"):
        table.add_column(title, justify="left" if title == "kernel" else "right")
    roof = next(r for r in roofs if r.target == report["target"])
    for row in report["kernels"]:
        table.add_row(*cells(row, roof))
    console.print(table)
    against = [row["onnxruntime"]["ratio"] for row in report["kernels"] if both(row)]
    if against:
        mean = math.exp(sum(map(math.log, against)) / len(against))
        console.print(f"{mean:.2f} times the speed of ONNX Runtime (geometric mean of {len(against)})")


def both(row: Mapping[str, Any]) -> bool:
    """Whether a row holds our time and ONNX Runtime's."""
    return row["ours"] is not None and row["onnxruntime"] is not None


def cells(row: Mapping[str, Any], roof: Roof) -> list[str]:
    """One line of the table."""
    mine = row["ours"]
    if mine is None:
        return [row["name"], "no kernel", *[""] * 7]
    seconds = mine["median"]
    speed, bandwidth = row["flops"] / seconds / 1e9, row["bytes"] / seconds / 1e9
    # what moves data and computes nothing has the bandwidth alone above it
    possible = min(roof.gflops, row["flops"] / row["bytes"] * roof.cache_gbs)
    reached = speed / possible if possible else bandwidth / roof.cache_gbs
    ratios = [f"{row[n]['ratio']:.2f}" if row[n] else "" for n in ("numpy", "onnxruntime")]
    error = "" if row["error"] is None else f"{row['error']:.1e}"
    spread = 50 * (mine["q3"] - mine["q1"]) / seconds
    return [
        row["name"], f"{seconds * 1e6:.1f}", f"{spread:.0f}", f"{speed:.1f}", f"{reached:.0%}",
        f"{bandwidth:.1f}", *ratios, error,
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
