"""A graph under construction: values whose types are known, and steps that add to it.

Shapes may hold symbols, so a step may only do what is right for every size of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from graphopt.ir.constant import Dense
from graphopt.ir.dim import Dim
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Value
from graphopt.ir.types import TensorType

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

NUMBERS = (DType.FLOAT32, DType.FLOAT64, DType.INT64, DType.INT32)
FLOATS = (DType.FLOAT32, DType.FLOAT64)
ODD = (0.0, 1.0, -0.0, -1.0, 2.0, 0.5, -3.0, 6.0)
"""Constants at which algebraic rules fire, rightly or wrongly."""


@dataclass(slots=True)
class Builder:
    """A graph, and the values that a next step may use."""

    graph: Graph
    draw: Draw
    dtypes: tuple[DType, ...]
    subgraphs: bool
    pool: list[Value] = field(default_factory=list[Value])

    def pick(self, fits: Callable[[Value], bool] = lambda value: True) -> Value | None:
        """Some value that fits, rather a young one, so that chains grow; None when there is none."""
        fitting = [value for value in reversed(self.pool) if fits(value)]
        return self.draw(st.sampled_from(fitting)) if fitting else None

    def number(self, dtypes: Sequence[DType] = NUMBERS) -> Value | None:
        """Some value of one of the element types."""
        return self.pick(lambda value: dtype_of(value) in dtypes)

    def image(self) -> Value | None:
        """Some float tensor (batch, channels, height, width) whose last three sizes are numbers other than 0."""
        return self.pick(
            lambda v: (
                dtype_of(v) is DType.FLOAT32
                and len(shape_of(v)) == 4
                and all(isinstance(dim, int) and dim > 0 for dim in shape_of(v)[1:])
            )
        )

    def constant(self, elements: Any, dtype: DType) -> Value:
        """A constant, which later steps may use too."""
        return self.graph.add_constant(Dense.of(np.asarray(elements, dtype.numpy)))

    def weights(self, shape: Sequence[int], dtype: DType = DType.FLOAT32) -> Value:
        """A constant of seeded small numbers, all unlike one another, so that a wrong order shows."""
        seed = self.draw(st.integers(0, 3))
        numbers = np.random.default_rng([seed, *shape]).normal(0, 1, tuple(shape))
        return self.constant(numbers if dtype in FLOATS else np.rint(numbers * 4), dtype)

    def indices(self, numbers: Sequence[int]) -> Value:
        """A constant vector of int64, as axes, shapes and pads are given."""
        return self.constant(list(numbers), DType.INT64)

    def add(
        self,
        op: str,
        inputs: Sequence[Value | None],
        dtype: DType,
        shape: Sequence[Dim],
        attributes: Mapping[str, object] | None = None,
        *,
        captures: Mapping[str, Value] | None = None,
    ) -> Value:
        """A new operator of one output with this type."""
        types = [TensorType(dtype, tuple(shape))]
        (value,) = self.graph.add_node(op, inputs, 1, attributes, types=types, captures=captures)
        self.pool.append(value)
        return value


def dtype_of(value: Value) -> DType:
    """The element type of a value of the builder, which is always known."""
    assert isinstance(value.type, TensorType)
    assert value.type.dtype is not None
    return value.type.dtype


def shape_of(value: Value) -> tuple[Dim, ...]:
    """The shape of a value of the builder, which is always known."""
    assert isinstance(value.type, TensorType)
    assert value.type.shape is not None
    return value.type.shape


def fixed(value: Value) -> tuple[int, ...] | None:
    """The shape where every size is a number."""
    return value.type.static_shape if isinstance(value.type, TensorType) else None
