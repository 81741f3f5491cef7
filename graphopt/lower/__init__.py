"""Graph → Program: which kernel computes what, and the constants as kernels read them."""

from graphopt.lower.lower import lower
from graphopt.lower.weights import WeightStore

__all__ = ["WeightStore", "lower"]
