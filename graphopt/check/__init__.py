"""The oracle: what a graph means, and whether two of them mean the same."""

from graphopt.check.adversarial import adversarial_feeds, special_values
from graphopt.check.call import run_call
from graphopt.check.compare import Difference, compare
from graphopt.check.differential import CheckReport, Oracle, OutputCheck, check_application, check_model
from graphopt.check.interpret import interpret
from graphopt.check.rounding import allowances

__all__ = [
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
    "run_call",
    "special_values",
]
