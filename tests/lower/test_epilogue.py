"""What follows a product goes into its kernel when nobody else looks at what is in between, and never otherwise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from graphopt.check import interpret
from graphopt.ir import Dense, Graph, Value, symbol
from graphopt.program import Step, StepKind
from graphopt.runtime import Compiled
from tests.runtime.models import compiled_of, graph_of

N = symbol("N")
WEIGHT = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
GIVEN = {"x": np.random.default_rng(1).standard_normal((5, 3)).astype("float32")}


@dataclass
class Dense3To4:
    """x · W, and a second product of the same shape."""

    graph: Graph
    product: Value
    other: Value

    def constant(self, array: object) -> Value:
        return self.graph.add_constant(Dense.of(np.asarray(array, "float32")))

    def then(self, op: str, *inputs: Value | None) -> Value:
        return self.graph.add_node(op, inputs)[0]


def start() -> Dense3To4:
    graph, (x,) = graph_of(x=(N, 3))
    (product,) = graph.add_node("MatMul", [x, graph.add_constant(Dense.of(WEIGHT))])
    (other,) = graph.add_node("MatMul", [x, graph.add_constant(Dense.of(WEIGHT[::-1]))])
    return Dense3To4(graph, product, other)


def finish(made: Dense3To4, *outputs: Value) -> tuple[Compiled, list[Step]]:
    """The model, checked against the reference, and its steps."""
    for i, value in enumerate(outputs):
        made.graph.add_output(value, f"y{i}")
    compiled = compiled_of(made.graph, native=True)
    wanted = interpret(made.graph, GIVEN)
    for name, found in compiled(GIVEN).items():
        np.testing.assert_allclose(found, wanted[name], rtol=1e-5, atol=1e-5)
    return compiled, list(compiled.program.steps)


def test_bias_residual_and_relu_are_one_call():
    made = start()
    biased = made.then("Add", made.product, made.constant([1, 2, 3, 4]))
    result = made.then("Relu", made.then("Add", biased, made.other))
    _, steps = finish(made, result)
    assert [(step.op, step.absorbed) for step in steps] == [("MatMul", ()), ("MatMul", ("Add", "Add", "Relu"))]


def test_bounds_of_a_clip_go_along():
    made = start()
    low, high = made.constant(-0.5), made.constant(0.25)
    _, steps = finish(made, made.then("Clip", made.product, low, high), made.other)
    assert ("MatMul", ("Clip",)) in [(step.op, step.absorbed) for step in steps]


def test_two_products_that_meet_share_one_addition():
    made = start()
    _, steps = finish(made, made.then("Relu", made.then("Add", made.other, made.product)))
    assert sorted(step.absorbed for step in steps) == [(), ("Add", "Relu")]


NotTaken = Callable[[Dense3To4], list[Value]]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(lambda m: [m.then("Relu", m.product), m.product, m.other], id="the product is an output too"),
        pytest.param(
            lambda m: [m.then("Relu", m.product), m.then("Neg", m.product), m.other], id="somebody else uses it"
        ),
        pytest.param(
            lambda m: [m.then("Clip", m.product, m.constant(1), m.constant(-1)), m.other], id="the bounds are crossed"
        ),
        pytest.param(
            lambda m: [m.then("Clip", m.product, m.constant(np.nan), m.constant(1)), m.other], id="a bound is NaN"
        ),
        pytest.param(
            lambda m: [m.then("Add", m.product, m.constant(np.ones((2, 1, 4)))), m.other], id="the constant widens it"
        ),
        pytest.param(lambda m: [m.then("Add", m.product, m.product), m.other], id="it is added to itself"),
    ],
)
def test_it_stays_apart_when(case: NotTaken):
    made = start()
    _, steps = finish(made, *case(made))
    assert all(not step.absorbed for step in steps if step.kind is StepKind.KERNEL)


def test_packed_weights_replace_the_ones_they_were_made_from():
    made = start()
    compiled, steps = finish(made, made.product, made.other)
    for step in steps:
        assert step.kernel is not None
        assert step.kernel.attributes["packed"] == (1,)
        packed = step.kernel.inputs[1]
        assert packed is not None
        assert compiled.program.values[packed].name.endswith(":packed")
