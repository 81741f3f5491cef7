"""What each operator computes, on numpy arrays: one file a family, registered on import."""

from graphopt.ops.meaning import binary, logic, unary

__all__ = ["binary", "logic", "unary"]
