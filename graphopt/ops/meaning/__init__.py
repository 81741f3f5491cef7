"""What each operator computes, on numpy arrays: one file a family, registered on import."""

from graphopt.ops.meaning import (
    binary,
    cast,
    convolution,
    gather,
    logic,
    movement,
    normalisation,
    pooling,
    product,
    quantisation,
    recurrent,
    reduction,
    shape,
    unary,
)

__all__ = [
    "binary",
    "cast",
    "convolution",
    "gather",
    "logic",
    "movement",
    "normalisation",
    "pooling",
    "product",
    "quantisation",
    "recurrent",
    "reduction",
    "shape",
    "unary",
]
