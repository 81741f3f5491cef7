"""What each operator computes, on numpy arrays: one file a family, registered on import."""

from graphopt.ops.meaning import binary, cast, gather, logic, movement, product, reduction, shape, unary

__all__ = ["binary", "cast", "gather", "logic", "movement", "product", "reduction", "shape", "unary"]
