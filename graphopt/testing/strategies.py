"""Hypothesis strategies for graphs and their inputs, for authors of passes.

    @given(graphs(), st.data())
    def test_my_pass_keeps_the_meaning(graph, data):
        before = graph.copy()
        run_passes(graph, [MyPass()])
        assert_same_meaning(before, graph, "exact", data.draw(feeds_for(before)))

A graph that fails shrinks: to fewer steps, simpler operators, smaller shapes, ordinary numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from graphopt.check.adversarial import value_of
from graphopt.check.differential import CheckReport, Runnable, check_model
from graphopt.ir.constant import Dense
from graphopt.ir.dim import Dim, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph
from graphopt.ir.types import TensorType
from graphopt.rewrite import Exactness, show
from graphopt.testing import elementwise_steps as elementwise
from graphopt.testing import movement_steps as movement
from graphopt.testing import network_steps as network
from graphopt.testing.build import NUMBERS, Builder, Draw

Step = Callable[[Builder], None]

DTYPES = (DType.FLOAT32, DType.FLOAT64, DType.INT64, DType.INT32, DType.BOOL)
STEPS: tuple[Step, ...] = (
    *(elementwise.unary, elementwise.binary, elementwise.scale_and_shift, elementwise.clip, elementwise.compare),
    *(elementwise.cast, movement.transpose, movement.reshape, movement.cut, movement.join, movement.pad),
    *(movement.own_shape, network.reduction, network.normalisation, network.dense, network.attention),
    *(network.convolution, network.batch_normalisation, network.pooling, network.branch, network.loop),
)
"""What a graph is made of, from the simplest on: a failing graph shrinks towards the first."""

_SIZES: tuple[Dim, ...] = (2, 3, 1, symbol("N"), 4, symbol("M"), 0)


@st.composite
def graphs(
    draw: Draw,
    *,
    max_steps: int = 8,
    dtypes: tuple[DType, ...] = DTYPES,
    steps: tuple[Step, ...] = STEPS,
    symbolic: bool = True,
    subgraphs: bool = True,
    opset: int = 21,
) -> Graph:
    """A small valid graph: every operator of it is defined for every size of its symbols, 0 and 1 among them.

    Values are shared, some nodes are dead, an output may be an input or be returned twice, an input may have a
    default.  All value types are known.  `steps` narrows what it is made of.
    """
    b = Builder(Graph("fuzzed", {"": opset}), draw, dtypes, subgraphs)
    for i in range(draw(st.integers(1, 3))):
        b.pool.append(b.graph.add_input(f"x{i}", draw(_types(dtypes, symbolic))))
    if draw(st.sampled_from((False, False, True))):
        like = b.pool[0].type
        if isinstance(like, TensorType) and like.static_shape is not None and like.dtype and like.dtype in NUMBERS:
            default = Dense.of(np.ones(like.static_shape, like.dtype.numpy))
            b.pool.append(b.graph.add_input("given", like, default))
    for _ in range(draw(st.integers(1, max_steps))):
        draw(st.sampled_from(steps))(b)
    made = b.pool[::-1]
    for i in range(draw(st.integers(1, 3))):
        value = made[0] if i == 0 else draw(st.sampled_from(made))
        b.graph.add_output(value, f"y{i}")
    return b.graph


def _types(dtypes: tuple[DType, ...], symbolic: bool) -> st.SearchStrategy[TensorType]:
    sizes = [dim for dim in _SIZES if symbolic or isinstance(dim, int)]
    shapes = st.lists(st.sampled_from(sizes), max_size=4).map(tuple)
    images = st.tuples(
        st.sampled_from([dim for dim in sizes if dim != 0]), st.integers(1, 3), st.integers(3, 5), st.integers(3, 5)
    )
    plain = st.builds(TensorType, st.sampled_from(dtypes), shapes)
    if DType.FLOAT32 not in dtypes:
        return plain
    return plain | st.builds(TensorType, st.just(DType.FLOAT32), images)


@st.composite
def feeds_for(draw: Draw, graph: Graph, *, special: bool | None = None) -> dict[str, Any]:
    """Inputs for a graph: a size for each symbol, seeded elements, NaN, ±inf and the like among them.

    `special=False` leaves those out, `True` has them always.  The types of all inputs have to be known.
    """
    types = [value.type for value in graph.inputs]
    dims = [dim for type in types if isinstance(type, TensorType) for dim in type.shape or ()]
    names = sorted({name for dim in dims if not isinstance(dim, int) for name in dim.symbols})
    sizes = {name: draw(st.sampled_from((2, 1, 3, 0, 5))) for name in names}
    share = draw(st.sampled_from((0.0, 0.2, 0.6))) if special is None else (0.4 if special else 0.0)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    fed = [value for value in graph.inputs if value not in graph.defaults or draw(st.booleans())]
    return {value.name: value_of(value.type, sizes, rng, share) for value in fed}


def assert_same_meaning(
    before: Graph,
    after: Runnable,
    level: Exactness | str = Exactness.EXACT,
    feeds: Mapping[str, Any] | None = None,
    *,
    bound: float = 0.0,
) -> CheckReport:
    """Assert that two graphs (or a graph and anything that runs it) compute the same, at a level of exactness.

    Without `feeds`, several adversarial inputs are tried.  AssertionError shows the difference and both graphs.
    """
    report = check_model(before, after, None if feeds is None else [feeds], level=level, bound=bound)
    if not report.passed:
        other = show(after) if isinstance(after, Graph) else repr(after)
        raise AssertionError(f"{report}\n--- before\n{show(before)}\n--- after\n{other}")
    return report
