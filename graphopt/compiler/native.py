"""The machine code a program calls, for one target: emitted (or found in the cache), linked, opened."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from graphopt.errors import CompileError
from graphopt.program import Program
from graphopt_kernels.bind.run import SPECS
from graphopt_kernels.errors import EmitError, LinkError, LoadError
from graphopt_kernels.load import Library, open_library
from graphopt_kernels.targets import host_targets


@dataclass(frozen=True, slots=True)
class NativeCode:
    """A target's library as bytes, and opened where this machine can run it."""

    content: bytes | None
    linked: bool
    library: Library | None


def build_native(program: Program, target: str) -> NativeCode:
    """The kernels of a program for a target; nothing when it calls none.

    Where the machine has no C linker the code stays an archive of objects.  CompileError when a kernel cannot be made.
    """
    specs = {spec for step in program.walk() if step.kernel is not None for spec in step.kernel.specs}
    if not specs:
        return NativeCode(None, True, None)
    from graphopt_kernels.cache import emit_cached  # on demand: emitting imports numba
    from graphopt_kernels.link import archive, link

    try:
        objects = [emit_cached(spec, target) for spec in sorted({*specs, *SPECS})]
    except EmitError as error:
        raise CompileError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="graphopt-") as folder:
        path, linked = Path(folder) / "kernels.so", True
        try:
            link(objects, path)
        except LinkError:
            path, linked = Path(folder) / "kernels.a", False
            archive(objects, path)
        try:
            library = open_library(path) if target in host_targets() else None
        except LoadError as error:
            raise CompileError(str(error)) from error
        return NativeCode(path.read_bytes(), linked, library)
