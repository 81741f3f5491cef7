"""Emitted object code on disk, by content: a kernel is compiled once per machine, whatever model wants it.

The key covers the spec, the target, the versions of Numba and llvmlite, and every source file of this package.
Many processes may share the folder: a file is written beside and renamed, and one that is damaged is made anew.
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

HEADER = b"graphopt object 1\n"


def cache_folder() -> Path:
    """$GRAPHOPT_CACHE, or `graphopt` in the user's cache folder ($XDG_CACHE_HOME, ~/.cache)."""
    named = os.environ.get("GRAPHOPT_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "graphopt"


def emit_cached(spec: KernelSpec, target: str) -> bytes:
    """What `emit.emit` gives, from the cache where it has been asked before; a read-only cache is no error."""
    path = cache_folder() / "objects" / f"{_key(spec, target)}.o"
    known = _read(path)
    if known is not None:
        return known
    from graphopt_kernels.emit import emit

    code = emit(spec, target)
    _write(path, HEADER + hashlib.sha256(code).digest() + code)
    return code


def native(specs: Sequence[KernelSpec], target: str) -> Library:
    """The specs' machine code, loaded into this process: emitted, linked and opened, all through the cache.

    For tests and benchmarks; a bundle carries its own library.
    """
    from graphopt_kernels.errors import LinkError
    from graphopt_kernels.link import archive, link

    keys = sorted({_key(spec, target) for spec in specs})
    folder = cache_folder() / "libraries"
    folder.mkdir(parents=True, exist_ok=True)
    stem = hashlib.sha256("".join(keys).encode()).hexdigest()
    for path in (folder / f"{stem}.so", folder / f"{stem}.a"):
        if path.exists():
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


def _read(path: Path) -> bytes | None:
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(HEADER) + 32
    code = data[start:]
    return code if data[:start] == HEADER + hashlib.sha256(code).digest() else None


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        Path(file.name).replace(path)
    except OSError:
        return
