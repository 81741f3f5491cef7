"""Emitted object code on disk, by content: a kernel is compiled once per machine, whatever model wants it.

The key covers the spec, the target, the versions of Numba and llvmlite, and every source file of this package.
Many processes of one user may share the folder: a file is written beside and renamed, and one that is damaged is made
anew.  Users share none: an entry is code, so a folder into which others can write is not used at all.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.load import Library, open_library
from graphopt_kernels.trust import read_own, why_others_can_write

HEADER = b"graphopt object 1\n"


def cache_folder() -> Path:
    """$GRAPHOPT_CACHE, or `graphopt` in the user's cache folder ($XDG_CACHE_HOME, ~/.cache)."""
    named = os.environ.get("GRAPHOPT_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphopt"


def why_unused() -> str | None:
    """One sentence that says why the cache is left alone, for whoever waits longer for it; None where it is used."""
    folder = cache_folder()
    try:
        _made(folder / "objects")
    except _UntrustedError as error:
        return f"the cache of kernels in {folder} is not used, because {error}"
    except OSError:
        # one that cannot be made is no secret: it is as if it were empty
        return None
    return None


def emit_cached(spec: KernelSpec, target: str) -> bytes:
    """What `emit.emit` gives, from the cache where it has been asked before; a read-only cache is no error."""
    name = f"{_key(spec, target)}.o"
    known = _read(name)
    if known is not None:
        return known
    from graphopt_kernels.emit import emit

    code = emit(spec, target)
    _write(name, HEADER + hashlib.sha256(code).digest() + code)
    return code


def native(specs: Sequence[KernelSpec], target: str) -> Library:
    """The specs' machine code, loaded into this process: emitted, linked and opened, all through the cache.

    For tests and benchmarks; a bundle carries its own library.
    """
    try:
        folder = _made(cache_folder() / "libraries")
    except (_UntrustedError, OSError):
        with tempfile.TemporaryDirectory(prefix="graphopt-") as private:
            return _linked(specs, target, Path(private))
    return _linked(specs, target, folder)


def _linked(specs: Sequence[KernelSpec], target: str, folder: Path) -> Library:
    from graphopt_kernels.errors import LinkError
    from graphopt_kernels.link import archive, link

    keys = sorted({_key(spec, target) for spec in specs})
    stem = hashlib.sha256("".join(keys).encode()).hexdigest()
    for path in (folder / f"{stem}.so", folder / f"{stem}.a"):
        if read_own(path) is not None:
            return open_library(path)
    objects = [emit_cached(spec, target) for spec in sorted(set(specs))]
    try:
        link(objects, folder / f"{stem}.so")
    except LinkError:
        archive(objects, folder / f"{stem}.a")
        return open_library(folder / f"{stem}.a")
    return open_library(folder / f"{stem}.so")


def _key(spec: KernelSpec, target: str) -> str:
    return hashlib.sha256("\n".join((spec.text, target, _toolchain())).encode()).hexdigest()


@cache
def _toolchain() -> str:
    """The versions and sources that decide what `emit` gives."""
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for file in sorted(root.rglob("*.py")):
        digest.update(f"{file.relative_to(root).as_posix()}\n".encode() + file.read_bytes())
    return f"numba {version('numba')} llvmlite {version('llvmlite')} sources {digest.hexdigest()}"


class _UntrustedError(Exception):
    """Somebody else can write to the cache; the message says who and where."""


def _made(folder: Path) -> Path:
    """The folder, made where it is missing with all above it, for this user alone."""
    missing = [path for path in (folder, *folder.absolute().parents) if not os.path.lexists(path)]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    why = why_others_can_write(folder)
    if why is not None:
        raise _UntrustedError(why)
    return folder


def _read(name: str) -> bytes | None:
    try:
        data = read_own(_made(cache_folder() / "objects") / name)
    except (OSError, _UntrustedError):
        return None
    if data is None:
        return None
    start = len(HEADER) + 32
    code = data[start:]
    return code if data[:start] == HEADER + hashlib.sha256(code).digest() else None


def _write(name: str, data: bytes) -> None:
    temporary: str | None = None
    try:
        folder = _made(cache_folder() / "objects")
        handle, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(folder / name)
    except (OSError, _UntrustedError):
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
