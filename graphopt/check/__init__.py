"""The oracle: what a graph means, and whether two of them mean the same."""

from graphopt.check.call import run_call
from graphopt.check.interpret import interpret

__all__ = ["interpret", "run_call"]
