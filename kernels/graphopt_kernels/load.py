"""Opening machine code and finding its symbols, with ctypes alone (llvmlite only where nobody linked it).

What code would bring with it (other libraries, constructors, symbols of others) is read from it first, and refused.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graphopt_kernels.elf import check_library, check_object
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

    LoadError when the file is missing, damaged, made for another machine, or would bring more into the process than its
    kernels.  Nobody else may be able to change the file meanwhile: what a stranger gave is opened from a private copy.
    """
    path = Path(path).absolute()
    try:
        if path.suffix in (".o", ".a"):
            return Library(path, _open_archive(path.read_bytes()))
        check_library(path.read_bytes(), platform.machine())
        handle = ctypes.CDLL(str(path))
    except (OSError, LinkError, LoadError) as error:
        raise LoadError(f"{path} cannot be loaded: {error}") from error

    def find(symbol: str) -> int:
        function: Any = getattr(handle, symbol, None)
        return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0

    return Library(path, find)


def _open_archive(data: bytes) -> Callable[[str], int]:
    from graphopt_kernels.link import members

    objects = members(data)
    for code in objects:
        check_object(code, platform.machine())
    try:
        import llvmlite.binding as llvm
    except ImportError as error:
        raise LoadError("it holds object code that was not linked, and loading that needs llvmlite") from error
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
