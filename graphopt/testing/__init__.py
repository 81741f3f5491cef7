"""For authors of passes: random graphs and inputs (Hypothesis), and the assertion that a graph's meaning was kept.

For authors of operators: the assertion that a meaning and a shape rule agree (`assert_operator`).
"""

from graphopt.testing.operators import assert_operator
from graphopt.testing.strategies import DTYPES, STEPS, assert_same_meaning, feeds_for, graphs

__all__ = ["DTYPES", "STEPS", "assert_operator", "assert_same_meaning", "feeds_for", "graphs"]
