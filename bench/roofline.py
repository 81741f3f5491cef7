"""The measured roof of this machine, and the picture of kernels beneath it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cache import native
from graphopt_kernels.cpu.roof import CHAINS
from graphopt_kernels.targets import TARGETS

ROOF = KernelSpec.of("roof", dtype="float32")


@dataclass(frozen=True, slots=True)
class Roof:
    """The best that was seen: arithmetic in GFLOP/s, copying in GB/s (read and written), in cache and in memory."""

    target: str
    gflops: float
    cache_gbs: float
    memory_gbs: float


def measure_roof(target: str, repeats: int = 15) -> Roof:
    """The roof for one thread."""
    function = native([ROOF], target).function(ROOF.symbol)
    result = np.full(16, 1e-3, np.float32)
    rounds = 1_000_000
    block = np.array([rounds, result.ctypes.data], np.int64)
    seconds = best(lambda: function(block.ctypes.data, 0, 1), repeats)
    flops = 2 * rounds * CHAINS * TARGETS[target].lanes(4)
    return Roof(target, flops / seconds / 1e9, _copying(128 * 1024, repeats), _copying(64 * 1024 * 1024, repeats))


def _copying(nbytes: int, repeats: int) -> float:
    source, target = np.ones(nbytes // 8), np.empty(nbytes // 8)
    times = max(1, 2**22 // nbytes)

    def copy() -> None:
        for _ in range(times):
            np.copyto(target, source)

    return 2 * nbytes * times / best(copy, repeats) / 1e9


def best(function: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs, in seconds."""
    seconds = list[float]()
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def machine_name() -> str:
    """The CPU's name, its cores that we may use, and the system."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}"


def plot(path: Path, roofs: Sequence[Roof], points: Sequence[tuple[str, float, float]], machine: str) -> None:
    """Draw kernels (name, operations a byte, GFLOP/s) beneath the roofs, log-log, to an SVG or PNG.

    Needs matplotlib (`pip install "graphopt[bench]"`).
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 6.5), layout="constrained")
    x = np.logspace(-1.5, 3.2, 200)
    for roof, style in zip(roofs, ("-", "--", ":"), strict=False):
        axes.plot(x, np.minimum(roof.gflops, x * roof.memory_gbs), f"k{style}", lw=1.5, label=f"{roof.target}, memory")
        cached = np.minimum(roof.gflops, x * roof.cache_gbs)
        axes.plot(x, cached, style, color="0.6", label=f"{roof.target}, cache")
    for kind, marker in (("MatMul", "o"), ("Conv", "s"), ("", "^")):
        chosen = [p for p in points if p[0].startswith(kind) and (kind or not p[0].startswith(("MatMul", "Conv")))]
        across, up = [p[1] for p in chosen], [p[2] for p in chosen]
        axes.scatter(across, up, marker=marker, s=28, label=kind or "other", zorder=3)
    for name, intensity, speed in points:
        axes.annotate(name, (intensity, speed), fontsize=5.5, xytext=(3, 3), textcoords="offset points")
    axes.set(xscale="log", yscale="log", xlabel="operations per byte that must be moved", ylabel="GFLOP/s, one thread")
    axes.set_title(f"kernels beneath the measured roof: {machine}", fontsize=9)
    axes.grid(which="both", lw=0.3)
    axes.legend(fontsize=7)
    with mpl.rc_context({"svg.hashsalt": "graphopt"}):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
