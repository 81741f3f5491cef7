"""How everything that a core calls is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import extending, njit

intrinsic: Any = extending.intrinsic
"""Numba's decorator: the function gives a signature, and the code that builds LLVM IR."""

FLAGS: dict[str, Any] = {
    "_nrt": False,
    "no_cfunc_wrapper": True,
    "no_cpython_wrapper": True,
    "error_model": "numpy",
}


def device(function: Callable[..., Any]) -> Any:
    """A function that cores may call: no reference counting, no wrappers, no Python errors.

    Only `emit` compiles it.  Never call it from Python: its code would then be the host's, not the target's.
    """
    return njit(**FLAGS)(function)
