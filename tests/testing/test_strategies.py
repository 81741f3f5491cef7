"""The fuzzer itself: its graphs are valid and varied, and it finds passes that are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st

from graphopt.check import adversarial_feeds, interpret
from graphopt.frontend import read_onnx, write_onnx
from graphopt.ir import Attribute, Dense, Graph, Node, TensorType
from graphopt.testing import STEPS, assert_same_meaning, feeds_for, graphs

UNHURRIED = [HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=40)
@given(graphs())
def test_every_graph_is_valid_onnx(graph: Graph) -> None:
    onnx.checker.check_model(write_onnx(graph), full_check=True)


@settings(max_examples=40)
@given(graphs(), st.data())
def test_every_graph_runs_and_gives_the_types_it_declares(graph: Graph, data: st.DataObject) -> None:
    feeds = data.draw(feeds_for(graph))
    got = interpret(graph, feeds)
    for value, array in zip(graph.outputs, got.values(), strict=True):
        assert isinstance(value.type, TensorType)
        assert value.type.dtype is not None
        assert value.type.shape is not None
        assert array.dtype == value.type.dtype.numpy
        known = [(dim, size) for dim, size in zip(value.type.shape, array.shape, strict=True) if isinstance(dim, int)]
        assert all(dim == size for dim, size in known)


@settings(max_examples=15)
@given(graphs())
def test_a_graph_means_the_same_as_its_copy_read_back(graph: Graph) -> None:
    assert_same_meaning(graph, graph.copy(), "exact")
    assert_same_meaning(graph, read_onnx(write_onnx(graph)), "exact")


def test_the_graphs_are_varied() -> None:
    seen: Counter[str] = Counter()
    marks: Counter[str] = Counter()

    @settings(max_examples=150, phases=[Phase.generate], suppress_health_check=UNHURRIED)
    @given(graphs())
    def look(graph: Graph) -> None:
        seen.update(node.qualified_op for node in graph.nodes())
        users = Counter(use.node for value in graph.values() for use in graph.uses(value))
        marks["dead node"] += any(not any(graph.uses(v) for v in graph.outputs_of(n) if v) for n in graph.nodes())
        marks["shared value"] += any(len(graph.uses(value)) > 1 for value in graph.values()) and bool(users)
        marks["symbol"] += any(not isinstance(d, int) for v in graph.inputs for d in _shape(v.type))
        marks["size 0"] += any(d == 0 for v in graph.inputs for d in _shape(v.type))
        marks["default"] += bool(graph.defaults)
        marks["output twice"] += len(set(graph.outputs)) < len(graph.outputs)
        marks["input returned"] += any(value in graph.inputs for value in graph.outputs)

    look()
    assert len(seen) >= 40, seen
    expected = {"dead node", "shared value", "symbol", "size 0", "default", "output twice", "input returned"}
    assert all(marks[mark] >= 3 for mark in expected), marks


def _shape(type: Any) -> tuple[Any, ...]:
    return type.shape or () if isinstance(type, TensorType) else ()


# ---- passes that are wrong on purpose -----------------------------------------------------------------------


def constant(graph: Graph, node: Node, slot: int) -> np.ndarray | None:
    slots = graph.inputs_of(node)
    value = slots[slot] if slot < len(slots) else None
    return None if value is None or value.constant is None else value.constant.array()


def first(graph: Graph, op: str, fits: Callable[[Node], bool] = lambda node: True) -> Node:
    found = next((node for node in graph.nodes() if node.op == op and fits(node)), None)
    assume(found is not None)
    assert found is not None
    return found


def drop(graph: Graph, node: Node, slot: int = 0) -> None:
    """Replace a node's result by one of its operands."""
    (output,) = (value for value in graph.outputs_of(node) if value is not None)
    operand = graph.inputs_of(node)[slot]
    assert operand is not None
    assume(operand.type == output.type)
    graph.replace_uses(output, operand)


def adding_zero_is_nothing(graph: Graph) -> None:
    drop(graph, first(graph, "Add", lambda n: constant(graph, n, 1) is not None and not np.any(constant(graph, n, 1))))


def multiplying_by_zero_is_zero(graph: Graph) -> None:
    def by_zero(node: Node) -> bool:
        number = constant(graph, node, 1)
        return number is not None and number.shape == () and number == 0

    node = first(graph, "Mul", by_zero)
    (x, zero), (output,) = graph.inputs_of(node), graph.outputs_of(node)
    assert x is not None
    assert zero is not None
    assert output is not None
    (same,) = graph.add_node("Sub", [x, x], types=[output.type])
    graph.replace_uses(output, same)


def subtraction_commutes(graph: Graph) -> None:
    node = first(graph, "Sub")
    a, b = graph.inputs_of(node)
    graph.set_input(node, 0, b)
    graph.set_input(node, 1, a)


def relu_may_go(graph: Graph) -> None:
    drop(graph, first(graph, "Relu"))


def transposing_twice_is_nothing(graph: Graph) -> None:
    def twice(node: Node) -> bool:
        x = graph.inputs_of(node)[0]
        before = None if x is None else graph.producer(x)
        return before is not None and before.op == "Transpose"

    node = first(graph, "Transpose", twice)
    x, output = graph.inputs_of(node)[0], graph.outputs_of(node)[0]
    assert x is not None
    assert output is not None
    before = graph.producer(x)
    assert before is not None
    source = graph.inputs_of(before)[0]
    assert source is not None
    graph.replace_uses(output, source)


def clip_is_min_of_max_of_relu(graph: Graph) -> None:
    node = first(graph, "Clip", lambda n: len(graph.inputs_of(n)) == 3)
    a, low, high = graph.inputs_of(node)
    graph.set_input(node, 1, high)
    graph.set_input(node, 2, low)
    assert a is not None


def equal_operators_are_one_whatever_their_attributes(graph: Graph) -> None:
    seen: dict[Any, Node] = {}
    for node in graph.sorted_nodes():
        key = (node.op, graph.inputs_of(node))
        outputs = graph.outputs_of(node)
        twin = seen.setdefault(key, node)
        if twin is not node and len(outputs) == 1 and twin.attributes != node.attributes:
            old, new = outputs[0], graph.outputs_of(twin)[0]
            assert old is not None
            assert new is not None
            graph.replace_uses(old, new)
            return
    assume(False)


def normalisation_has_no_mean(graph: Graph) -> None:
    node = first(graph, "BatchNormalization")
    mean = graph.inputs_of(node)[3]
    assert mean is not None
    assert mean.constant is not None
    graph.set_input(node, 3, graph.add_constant(Dense.of(np.zeros_like(mean.constant.array()))))


def every_branch_is_the_first(graph: Graph) -> None:
    node = first(graph, "If")
    node.attributes["else_branch"] = Attribute.of(node.attributes["then_branch"].value.copy())


def a_default_is_a_constant(graph: Graph) -> None:
    assume(graph.defaults)
    value, default = next(iter(graph.defaults.items()))
    graph.replace_uses(value, graph.add_constant(default))


def padding_at_the_start_moves_to_the_end(graph: Graph) -> None:
    node = first(graph, "Conv", lambda n: n.get("pads") != (1, 1, 1, 1))
    node.attributes["pads"] = Attribute.of(node.get("pads")[::-1])


def depthwise_weights_are_reversed(graph: Graph) -> None:
    node = first(graph, "Conv", lambda n: n.get("group") > 1)
    weights = constant(graph, node, 1)
    assert weights is not None
    graph.set_input(node, 1, graph.add_constant(Dense.of(weights[::-1])))


def averages_count_padding(graph: Graph) -> None:
    node = first(graph, "AveragePool")
    node.attributes["count_include_pad"] = Attribute.of(1 - node.get("count_include_pad"))


def scale_and_shift_commute(graph: Graph) -> None:
    node = first(graph, "Add", lambda n: constant(graph, n, 1) is not None)
    x = graph.inputs_of(node)[0]
    scaled = None if x is None else graph.producer(x)
    assume(scaled is not None and scaled.op == "Mul" and constant(graph, scaled, 1) is not None)
    assert scaled is not None
    node.op, scaled.op = "Mul", "Add"


def integers_divide_downwards(graph: Graph) -> None:
    node = first(graph, "Div", lambda n: _is_integer(graph, n))
    (x, y), (output,) = graph.inputs_of(node), graph.outputs_of(node)
    assert x is not None
    assert y is not None
    assert output is not None
    (rest,) = graph.add_node("Mod", [x, y], types=[output.type])
    (whole,) = graph.add_node("Sub", [x, rest], types=[output.type])
    (quotient,) = graph.add_node("Div", [whole, y], types=[output.type])
    graph.replace_uses(output, quotient)


def _is_integer(graph: Graph, node: Node) -> bool:
    type = node and graph.outputs_of(node)[0]
    return isinstance(type and type.type, TensorType) and "int" in str(type and type.type)


WRONG_PASSES = [
    adding_zero_is_nothing,
    multiplying_by_zero_is_zero,
    subtraction_commutes,
    relu_may_go,
    transposing_twice_is_nothing,
    clip_is_min_of_max_of_relu,
    equal_operators_are_one_whatever_their_attributes,
    normalisation_has_no_mean,
    every_branch_is_the_first,
    a_default_is_a_constant,
    padding_at_the_start_moves_to_the_end,
    depthwise_weights_are_reversed,
    averages_count_padding,
    scale_and_shift_commute,
    integers_divide_downwards,
]


@pytest.mark.parametrize("wrong", WRONG_PASSES, ids=lambda f: f.__name__)
def test_a_wrong_pass_is_found(wrong: Callable[[Graph], None]) -> None:
    @settings(max_examples=1500, phases=[Phase.generate], suppress_health_check=UNHURRIED)
    @given(graphs(), st.data())
    def holds(graph: Graph, data: st.DataObject) -> None:
        after = graph.copy()
        wrong(after)
        assert_same_meaning(graph, after, "exact", data.draw(feeds_for(graph)))

    with pytest.raises(AssertionError, match="--- before"):
        holds()


def test_a_failure_shrinks_to_the_operator_at_fault() -> None:
    def loses_its_relu(graph: Graph) -> bool:
        if not any(node.op == "Relu" for node in graph.nodes()):
            return False
        after = graph.copy()
        drop(after, next(node for node in after.nodes() if node.op == "Relu"))
        feeds = adversarial_feeds(graph)
        got, wanted = interpret(after, feeds), interpret(graph, feeds)
        return any(not np.array_equal(got[k], v, equal_nan=v.dtype.kind == "f") for k, v in wanted.items())

    smallest = find(graphs(), loses_its_relu, settings=settings(max_examples=2000, suppress_health_check=UNHURRIED))
    assert [node.op for node in smallest.nodes()] == ["Relu"]


def test_the_steps_can_be_narrowed() -> None:
    only = [step for step in STEPS if step.__name__ == "transpose"]
    found = find(graphs(steps=tuple(only)), lambda graph: len(graph) > 1)
    assert {node.op for node in found.nodes()} == {"Transpose"}
