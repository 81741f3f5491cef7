"""The public functions that join the rooms: `optimize`, `compile`, `rebuild` and `load`.

Each is imported when it is first asked for: who only loads a bundle never imports the compiler.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphopt.bundle.open import open_bundle as load
    from graphopt.compiler.compile_model import build_request
    from graphopt.compiler.compile_model import compile_model as compile
    from graphopt.compiler.optimize_model import optimize_graph, prepare_for_lowering
    from graphopt.compiler.optimize_model import optimize_model as optimize
    from graphopt.compiler.rebuild_model import rebuild

__all__ = ["build_request", "compile", "load", "optimize", "optimize_graph", "prepare_for_lowering", "rebuild"]

_HOMES = {
    "build_request": ("graphopt.compiler.compile_model", "build_request"),
    "compile": ("graphopt.compiler.compile_model", "compile_model"),
    "optimize": ("graphopt.compiler.optimize_model", "optimize_model"),
    "optimize_graph": ("graphopt.compiler.optimize_model", "optimize_graph"),
    "prepare_for_lowering": ("graphopt.compiler.optimize_model", "prepare_for_lowering"),
    "rebuild": ("graphopt.compiler.rebuild_model", "rebuild"),
    "load": ("graphopt.bundle.open", "open_bundle"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
