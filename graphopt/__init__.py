"""graphopt: an ahead-of-time compiler for ONNX models that can prove what it did.

Names are imported when they are first used: a program that only loads a bundle never imports the compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphopt.errors import GraphoptError
from graphopt.version import __version__

if TYPE_CHECKING:
    from graphopt.compiler import compile, load, optimize
    from graphopt.ir import Graph

__all__ = ["Graph", "GraphoptError", "__version__", "compile", "load", "optimize"]

_HOMES = {
    "Graph": "graphopt.ir",
    "compile": "graphopt.compiler",
    "load": "graphopt.compiler",
    "optimize": "graphopt.compiler",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'graphopt' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
