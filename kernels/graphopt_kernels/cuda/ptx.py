"""Kernels as PTX text for a named compute capability; no GPU is needed, but the CUDA toolkit's compiler is."""

from __future__ import annotations

from typing import Any

from graphopt_kernels.cuda import elementwise, matmul
from graphopt_kernels.cuda.target import cuda, simulated
from graphopt_kernels.errors import KernelError

HOPPER = (9, 0)


class ToolkitMissingError(KernelError):
    """The CUDA compiler cannot be loaded."""


def toolkit_missing() -> str:
    """Why no PTX can be made here, in one sentence; empty where it can."""
    if simulated:
        return "the simulator compiles nothing (NUMBA_ENABLE_CUDASIM is set)"
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    try:
        for name in ("nvrtc", "nvvm"):
            load_nvidia_dynamic_lib(name)
    except DynamicLibNotFoundError:
        return 'the CUDA compiler is not installed: pip install "graphopt[cuda]"'
    return ""


def matmul_ptx(capability: tuple[int, int] = HOPPER) -> str:
    """The matrix product's PTX; ToolkitMissingError without a toolkit."""
    return _compile(matmul.matmul_kernel, matmul.SIGNATURE, capability)


def elementwise_ptx(text: str, capability: tuple[int, int] = HOPPER) -> str:
    """A chain's PTX; ToolkitMissingError without a toolkit."""
    return _compile(elementwise.kernel_of(text), elementwise.signature(text), capability)


def _compile(kernel: Any, signature: tuple[Any, ...], capability: tuple[int, int]) -> str:
    reason = toolkit_missing()
    if reason:
        raise ToolkitMissingError(reason)
    text, _ = cuda.compile_ptx(kernel, signature, cc=capability)
    return str(text)
