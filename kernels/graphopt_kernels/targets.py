"""The machines that kernels are compiled for: named instruction sets, never "native": every host makes the same bytes.

Imports nothing heavy: the compiler asks what to emit, the loader what the host can run.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Target:
    """One instruction set, as LLVM names it, and what the shape of inner loops depends on."""

    name: str
    triple: str
    cpu: str
    features: str
    machine: str
    """`platform.machine()` of hosts that may run it."""
    flags: frozenset[str]
    """What the host's CPU must report (names of /proc/cpuinfo)."""
    vector_bytes: int
    vector_registers: int

    def lanes(self, itemsize: int) -> int:
        """Elements of `itemsize` bytes in one vector register."""
        return self.vector_bytes // itemsize


_V3 = frozenset(["avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"])
_V4 = _V3 | frozenset(["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"])
_LINUX_X86 = "x86_64-unknown-linux-gnu"

TARGETS = {
    target.name: target
    for target in (
        Target("x86-64-v4", _LINUX_X86, "x86-64-v4", "-prefer-256-bit", "x86_64", _V4, 64, 32),
        Target("x86-64-v3", _LINUX_X86, "x86-64-v3", "", "x86_64", _V3, 32, 16),
        Target("aarch64", "aarch64-unknown-linux-gnu", "generic", "+neon", "aarch64", frozenset(), 16, 32),
    )
}
"""Every target by name, the most capable first."""


@cache
def host_targets() -> tuple[str, ...]:
    """The names of the targets that this machine can run, best first; () where none fits."""
    machine, flags = platform.machine(), _cpu_flags()
    if sys.platform != "linux":
        return ()
    return tuple(name for name, t in TARGETS.items() if t.machine == machine and t.flags <= flags)


def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":") for line in lines)
    return next(
        (frozenset(value.split()) for name, _, value in named if name.strip() in ("flags", "Features")), frozenset()
    )
