"""Plans, parts and results: whatever path a value takes, it arrives, and what a caller gets is the caller's."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from graphopt.errors import GraphoptError
from graphopt.ir import Dense, DType, Graph, TensorType, symbol
from graphopt.runtime import Compiled
from graphopt.runtime.pool import PlanTable
from tests.runtime.models import graph_of

N = symbol("N")
Build = Callable[[Graph], Compiled]
INT = TensorType(DType.INT64, (2,))


def test_outputs_share_no_memory_with_inputs_constants_or_each_other(build: Build):
    graph, (x,) = graph_of(x=(N, 2))
    (same,) = graph.add_node("Identity", [x])
    constant = graph.add_constant(Dense.of(np.ones(2, "float32")))
    (sum_,) = graph.add_node("Add", [x, constant])
    for value, name in ((x, "x"), (same, "same"), (constant, "c"), (sum_, "sum"), (sum_, "again")):
        graph.add_output(value, name)
    given = np.zeros((3, 2), "float32")
    model = build(graph)
    for _ in range(2):
        found = model({"x": given})
        arrays = [given, *found.values()]
        for i, a in enumerate(arrays):
            assert not any(np.shares_memory(a, b) for b in arrays[i + 1 :])
        for array in found.values():
            array[...] = 7  # must not reach the next call
        assert given.sum() == 0
    assert model({"x": given})["c"].tolist() == [1, 1]


def test_a_shape_that_the_data_decides_is_followed(build: Build):
    graph, (x,) = graph_of(x=(N,))
    (where,) = graph.add_node("NonZero", [x])
    (doubled,) = graph.add_node("Add", [where, where])
    graph.add_output(doubled, "y")
    model = build(graph)
    assert model({"x": np.array([0, 5, 0, 7], "float32")})["y"].tolist() == [[2, 6]]
    assert model({"x": np.array([0, 5, 0, 0], "float32")})["y"].tolist() == [[2]]
    assert model({"x": np.zeros(4, "float32")})["y"].shape == (1, 0)


def test_a_shape_that_an_input_holds_is_followed(build: Build):
    graph, (x, shape) = graph_of(x=(N,), shape=INT)
    (y,) = graph.add_node("Reshape", [x, shape])
    (z,) = graph.add_node("Neg", [y])
    graph.add_output(z, "z")
    model = build(graph)
    x6 = np.arange(6, dtype="float32")
    for wanted in ([2, 3], [3, 2], [-1, 1], [2, 3]):
        found = model({"x": x6, "shape": np.array(wanted)})["z"]
        np.testing.assert_array_equal(found, -x6.reshape(wanted))
    with pytest.raises(GraphoptError, match="Reshape"):
        model({"x": x6, "shape": np.array([4, 4])})


def test_an_empty_batch_keeps_the_rest_of_the_shape(build: Build):
    graph, (x,) = graph_of(x=(N, 1, 3, 3))
    shape = graph.add_constant(Dense.of(np.array([0, 0, -1])))
    graph.add_output(graph.add_node("Relu", [graph.add_node("Reshape", [x, shape])[0]])[0], "y")
    assert build(graph)({"x": np.zeros((0, 1, 3, 3), "float32")})["y"].shape == (0, 1, 9)


def branch(name: str, op: str, shared: str = "x") -> Graph:
    inner = Graph(name, {"": 17})
    captured = inner.add_capture(shared, TensorType(DType.FLOAT32, (N,)))
    inner.add_output(inner.add_node(op, [captured])[0], "out")
    return inner


def test_the_branch_that_the_condition_names_runs_with_what_it_captures(build: Build):
    graph, (x, c) = graph_of(x=(N,), c=TensorType(DType.BOOL, ()))
    (y,) = graph.add_node(
        "If", [c], 1, {"then_branch": branch("then", "Neg"), "else_branch": branch("else", "Abs")}, captures={"x": x}
    )
    graph.add_output(graph.add_node("Add", [y, x])[0], "y")
    model = build(graph)
    given = np.array([-1, 2], "float32")
    assert model({"x": given, "c": np.array(True)})["y"].tolist() == [0, 0]
    assert model({"x": given, "c": np.array(False)})["y"].tolist() == [0, 4]


def test_a_loop_carries_state_and_stacks_what_it_scans(build: Build):
    body = Graph("body", {"": 17})
    body.add_input("i", TensorType(DType.INT64, ()))
    going = body.add_input("going", TensorType(DType.BOOL, ()))
    state = body.add_input("state", TensorType(DType.FLOAT32, (2,)))
    step = body.add_capture("step", TensorType(DType.FLOAT32, (2,)))
    (grown,) = body.add_node("Add", [state, step])
    for value, name in ((going, "go"), (grown, "state_out"), (grown, "row")):
        body.add_output(value, name)
    graph, (x, times) = graph_of(x=(2,), times=TensorType(DType.INT64, ()))
    final, rows = graph.add_node("Loop", [times, None, x], 2, {"body": body}, captures={"step": x})
    graph.add_output(final, "final")
    graph.add_output(rows, "rows")
    found = build(graph)({"x": np.array([1, 2], "float32"), "times": np.array(3)})
    assert found["final"].tolist() == [4, 8]
    assert found["rows"].tolist() == [[2, 4], [3, 6], [4, 8]]


def test_several_threads_may_call_at_once(build: Build):
    graph, (x,) = graph_of(x=(N, 4))
    value = x
    for op in ("Neg", "Abs", "Sqrt", "Neg"):
        (value,) = graph.add_node(op, [value])
    graph.add_output(value, "y")
    model = build(graph)

    def call(seed: int) -> bool:
        given = np.random.default_rng(seed).random((seed % 5 + 1, 4), "float32")
        return bool(np.array_equal(model({"x": given})["y"], -np.sqrt(given)))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call, range(200)))


def test_any_number_of_threads_gives_the_same_bits(build: Build):
    graph, (x,) = graph_of(x=(N, 64))
    weight = graph.add_constant(Dense.of(np.random.default_rng(0).standard_normal((64, 96)).astype("float32")))
    (product,) = graph.add_node("MatMul", [x, weight])
    graph.add_output(graph.add_node("Softmax", [graph.add_node("Tanh", [product])[0]])[0], "y")
    model = build(graph)
    given = np.random.default_rng(1).standard_normal((300, 64)).astype("float32")
    alone = model({"x": given})["y"]
    for threads in (2, 3, 200):
        model.threads = threads
        if threads <= 8:
            np.testing.assert_array_equal(model({"x": given})["y"], alone)
    assert model.threads == 200
    with pytest.raises(ValueError, match="at least 1"):
        model.threads = 0


def test_the_profile_names_every_step_that_ran(build: Build):
    graph, (x,) = graph_of(x=(N, 4))
    (y,) = graph.add_node("Softmax", [graph.add_node("Neg", [x], name="minus")[0]], name="soft")
    graph.add_output(y, "y")
    calls = build(graph).profile({"x": np.ones((3, 4), "float32")}, repeats=3)
    assert [(call.op, call.name) for call in calls] == [("Neg", "minus"), ("Softmax", "soft")]
    assert all(call.seconds > 0 for call in calls)


def test_a_table_keeps_what_is_used_and_forgets_the_rest():
    table: PlanTable[int, str] = PlanTable(limit=3)
    for key in range(3):
        table.get_or_make(key, lambda key=key: f"plan {key}")
    assert table.get(0) == "plan 0"
    table.get_or_make(3, lambda: "plan 3")
    assert len(table) == 3
    assert table.get(0) == "plan 0"
    assert table.get(1) is None
