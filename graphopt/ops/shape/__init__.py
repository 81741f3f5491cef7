"""What each operator gives, as types: one file a family, registered on import."""

from graphopt.ops.shape import (
    elementwise,
    indexing,
    ml,
    movement,
    normalization,
    product,
    quantization,
    recurrent,
    reduction,
    sizes,
    window,
)

__all__ = [
    "elementwise",
    "indexing",
    "ml",
    "movement",
    "normalization",
    "product",
    "quantization",
    "recurrent",
    "reduction",
    "sizes",
    "window",
]
