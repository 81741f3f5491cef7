"""Opening machine code and finding its symbols, with ctypes alone (llvmlite only where nobody linked it)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphopt_kernels.errors import LinkError, LoadError
from graphopt_kernels.targets import host_targets

__all__ = ["KERNEL", "Library", "host_targets", "open_library"]

KERNEL: Callable[[int], Callable[[int, int, int], None]] = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)
"""A C address → a Python callable `(block, member, team)`; the GIL is released while it runs."""


class Library:
    """Machine code in memory.  It stays there as long as the process: addresses never dangle."""

    def __init__(self, path: Path, find: Callable[[str], int]) -> None:
        self.path = path
        self._find = find
        self._known: dict[str, int] = {}

    def address(self, symbol: str) -> int:
        """Where a symbol's code begins; LoadError when the library lacks it."""
        if symbol not in self._known:
            self._known[symbol] = self._find(symbol)
        if self._known[symbol] == 0:
            raise LoadError(f"{self.path} has no kernel {symbol}")
        return self._known[symbol]

    def function(self, symbol: str) -> Callable[[int, int, int], None]:
        """The kernel as a Python callable `(block address, member, team)`."""
        return KERNEL(self.address(symbol))


def open_library(path: str | Path) -> Library:
    """The kernels in a shared library (`.so`) or an archive of object code (`.o`, `.a`, through llvmlite).

    LoadError when the file is missing, damaged, or made for another machine.
    """
    path = Path(path).absolute()
    if path.suffix in (".o", ".a"):
        return Library(path, _open_archive(path))
    try:
        handle = ctypes.CDLL(str(path))
    except OSError as error:
        raise LoadError(f"{path} cannot be loaded: {error}") from error

    def find(symbol: str) -> int:
        function: Any = getattr(handle, symbol, None)
        return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0

    return Library(path, find)


def _open_archive(path: Path) -> Callable[[str], int]:
    from graphopt_kernels.link import members

    try:
        objects = members(path.read_bytes())
    except (OSError, LinkError) as error:
        raise LoadError(f"{path} cannot be loaded: {error}") from error
    try:
        import llvmlite.binding as llvm
    except ImportError as error:
        raise LoadError(f"{path} holds object code that was not linked; loading it needs llvmlite") from error
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)
    return engine.get_function_address


_engines: list[Any] = []
