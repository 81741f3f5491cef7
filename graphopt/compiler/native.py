"""The machine code a program calls, for one target: emitted (or found in the cache), linked, opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from graphopt.errors import CompileError
from graphopt.private import PrivateFolder
from graphopt.program import Program
from graphopt_kernels.abi import KernelSpec
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


def build_native(program: Program, target: str, *, cached: bool = True) -> NativeCode:
    """The kernels of a program for a target; nothing when it calls none.  Not `cached`: each is emitted anew.

    Where the machine has no C linker the code stays an archive of objects.  CompileError when a kernel cannot be made.
    """
    specs = {spec for step in program.walk() if step.kernel is not None for spec in step.kernel.specs}
    if not specs:
        return NativeCode(None, True, None)
    from graphopt_kernels.link import archive, link

    emit = _emitter(cached=cached)
    try:
        objects = [emit(spec, target) for spec in sorted({*specs, *SPECS})]
    except EmitError as error:
        raise CompileError(str(error)) from error
    with PrivateFolder() as folder:
        path, linked = folder / "kernels.so", True
        try:
            link(objects, path)
        except LinkError:
            path, linked = folder / "kernels.a", False
            archive(objects, path)
        try:
            library = open_library(path) if target in host_targets() else None
        except LoadError as error:
            raise CompileError(str(error)) from error
        return NativeCode(path.read_bytes(), linked, library)


@cache
def _emitted(spec: KernelSpec, target: str) -> bytes:
    """Object code that this very process has emitted, now or before."""
    from graphopt_kernels.emit import emit

    return emit(spec, target)


def _emitter(*, cached: bool) -> Callable[[KernelSpec, str], bytes]:
    """What makes a kernel's object code.  On demand: emitting imports numba."""
    if cached:
        from graphopt_kernels.cache import emit_cached

        return emit_cached
    return _emitted
