"""What can go wrong between a kernel's source and its machine code, one sentence each."""

from __future__ import annotations


class KernelError(Exception):
    """The base of errors of this package."""


class EmitError(KernelError):
    """A kernel cannot be turned into object code for a target."""

    def __init__(self, spec: str, target: str, reason: str) -> None:
        super().__init__(f"cannot emit {spec} for {target}: {reason}")
        self.spec, self.target, self.reason = spec, target, reason


class LinkError(KernelError):
    """The machine's linker refused objects, or there is no linker."""


class LoadError(KernelError):
    """A native library cannot be loaded, or lacks a symbol."""
