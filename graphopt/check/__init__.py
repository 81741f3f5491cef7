"""The oracle: what a graph means, and whether two of them mean the same.

The runtime uses `run_call` alone and must not load networkx: all else is imported when first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from graphopt.check.call import run_call

if TYPE_CHECKING:
    from graphopt.check.adversarial import adversarial_feeds, special_values
    from graphopt.check.allowed import allowances
    from graphopt.check.applications import CheckApplications, regions_of
    from graphopt.check.budget import Budget, BudgetSpentError
    from graphopt.check.comparison import Difference, compare
    from graphopt.check.differential import CheckReport, Oracle, OutputCheck, check_application, check_model
    from graphopt.check.interpreter import interpret

__all__ = [
    "Budget",
    "BudgetSpentError",
    "CheckApplications",
    "CheckReport",
    "Difference",
    "Oracle",
    "OutputCheck",
    "adversarial_feeds",
    "allowances",
    "check_application",
    "check_model",
    "compare",
    "interpret",
    "regions_of",
    "run_call",
    "special_values",
]

_MODULES = {
    "applications": ("CheckApplications", "regions_of"),
    "adversarial": ("adversarial_feeds", "special_values"),
    "budget": ("Budget", "BudgetSpentError"),
    "comparison": ("Difference", "compare"),
    "differential": ("CheckReport", "Oracle", "OutputCheck", "check_application", "check_model"),
    "interpreter": ("interpret",),
    "allowed": ("allowances",),
}


def __getattr__(name: str) -> Any:
    module = next((module for module, names in _MODULES.items() if name in names), None)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"graphopt.check.{module}"), name)
