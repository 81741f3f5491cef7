"""For authors of passes: random graphs and inputs (Hypothesis), and the assertion that a graph's meaning was kept."""

from graphopt.testing.strategies import DTYPES, STEPS, assert_same_meaning, feeds_for, graphs

__all__ = ["DTYPES", "STEPS", "assert_same_meaning", "feeds_for", "graphs"]
