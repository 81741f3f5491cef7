"""What each operator gives, as types: one file a family, registered on import."""

from graphopt.ops.shape import (
    attention,
    elementwise,
    fused,
    indexing,
    losses,
    ml,
    movement,
    normalization,
    product,
    quantization,
    recurrent,
    reduction,
    signal,
    sizes,
    window,
)

__all__ = [
    "attention",
    "elementwise",
    "fused",
    "indexing",
    "losses",
    "ml",
    "movement",
    "normalization",
    "product",
    "quantization",
    "recurrent",
    "reduction",
    "signal",
    "sizes",
    "window",
]
