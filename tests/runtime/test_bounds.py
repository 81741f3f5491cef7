"""No launch touches what lies beside its operands, on whatever way a request takes through a program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphopt.errors import BundleError, InputError
from graphopt.ir import DType, Graph, TensorType, symbol
from graphopt.program import KernelCall, Program, Step, StepKind
from graphopt.runtime import Compiled
from graphopt.runtime.binding import bind
from graphopt.runtime.context import make_context
from graphopt.runtime.executor import Executor, bound_of
from tests.runtime.models import compiled_of, graph_of

N, M = symbol("N"), symbol("M")


def indices(*shape: Any) -> TensorType:
    """The type of int64 indices."""
    return TensorType(DType.INT64, shape)


def embedding(after: Callable[[Graph, Any], Any] = lambda graph, value: value) -> Compiled:
    """Rows of a table that is an input, picked by indices that are one too."""
    graph, (table, ids) = graph_of(table=(N, 3), ids=indices(M))
    (rows,) = graph.add_node("Gather", [table, ids], name="emb")
    graph.add_output(after(graph, rows), "rows")
    return compiled_of(graph, native=True)


TABLE = np.arange(30, dtype=np.float32).reshape(10, 3)
SENTENCE = r"at Gather 'emb': an index of 17 in 'ids' is outside axis 0 of size 10"


def counted(graph: Graph, value: Any) -> Any:
    """After the value, a step whose shape the data decide: the program then runs in parts."""
    (found,) = graph.add_node("NonZero", [value])
    (again,) = graph.add_node("Add", [found, found])
    return again


@pytest.mark.parametrize("after", [lambda graph, value: value, counted], ids=["direct", "parts"])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_index_outside_is_an_error_once_and_the_next_request_is_answered(after: Any, threads: int):
    model = embedding(after)
    model.threads = threads
    good = model({"table": TABLE, "ids": np.array([1, -10, 9])})["rows"]
    for _ in range(2):
        with pytest.raises(InputError, match=SENTENCE):
            model({"table": TABLE, "ids": np.array([1, 17, 9])})
        np.testing.assert_array_equal(model({"table": TABLE, "ids": np.array([1, -10, 9])})["rows"], good)


def test_an_index_outside_is_an_error_in_a_profile():
    with pytest.raises(InputError, match=SENTENCE):
        embedding().profile({"table": TABLE, "ids": np.array([17])})


def test_an_index_outside_is_an_error_in_a_subprogram():
    branch = Graph("then", {"": 17})
    graph, (table, ids, which) = graph_of(table=(N, 3), ids=indices(M), which=TensorType(DType.BOOL, ()))
    outer = [branch.add_capture(value.name, value.type) for value in (table, ids)]
    (rows,) = branch.add_node("Gather", outer, name="emb")
    branch.add_output(rows, "rows")
    other = Graph("else", {"": 17})
    (same,) = other.add_node("Identity", [other.add_capture(table.name, table.type)])
    other.add_output(same, "rows")
    branches = {"then_branch": branch, "else_branch": other}
    (made,) = graph.add_node("If", [which], 1, branches, captures={"table": table, "ids": ids})
    graph.add_output(made, "rows")
    model = compiled_of(graph, native=True)
    with pytest.raises(InputError, match=SENTENCE):
        model({"table": TABLE, "ids": np.array([17]), "which": np.array(True)})


def test_each_of_many_threads_hears_of_its_own_index():
    model = embedding()

    def ask(index: int) -> str:
        try:
            return str(model({"table": TABLE, "ids": np.array([index] * 100)})["rows"][0, 0])
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        for index, said in zip(range(20), pool.map(ask, range(20)), strict=True):
            assert (f"an index of {index} in" in said) if index >= 10 else said == str(3.0 * index)


def test_a_scatter_outside_leaves_what_the_caller_gave():
    graph, (data, ids, updates) = graph_of(data=(N,), ids=indices(M, 1), updates=(M,))
    (made,) = graph.add_node("ScatterND", [data, ids, updates], name="put")
    graph.add_output(made, "made")
    model = compiled_of(graph, native=True)
    given = {"data": TABLE[:, 0].copy(), "ids": np.array([[2], [99]]), "updates": np.ones(2, np.float32)}
    before = {name: array.copy() for name, array in given.items()}
    with pytest.raises(InputError, match="at ScatterND 'put': an index of 99 in 'ids' is outside axis 0 of size 10"):
        model(given)
    for name, array in before.items():
        np.testing.assert_array_equal(given[name], array)


def adding() -> Compiled:
    """x + y, natively."""
    graph, (x, y) = graph_of(x=(N,), y=(N,))
    (made,) = graph.add_node("Add", [x, y], name="sum")
    graph.add_output(made, "sum")
    return compiled_of(graph, native=True)


def executor_of(model: Compiled) -> Executor:
    """The executor of a model."""
    return model._executor  # pyright: ignore[reportPrivateUsage]


def test_an_array_that_is_shorter_than_its_plan_never_reaches_a_kernel():
    executor = executor_of(adding())
    long, short = np.ones(100, np.float32), np.ones(10, np.float32)
    part = executor.plan([long, long])
    context = make_context(part, executor.weights, executor.kernels)
    with pytest.raises(InputError, match="an array of 40 bytes stands where the plan has one of 400"):
        executor.enter(part, context, executor.new_frame([long, short]))


def test_a_context_holds_its_launches_against_the_memory_there_is():
    executor = executor_of(embedding(counted))
    part = executor.plan([TABLE, np.array([1])])
    part.arena_bytes = 0
    with pytest.raises(BundleError, match=r"may touch the bytes .* of a block of 0"):
        make_context(part, executor.weights, executor.kernels)


def changed(model: Compiled, change: Callable[[Step], Step]) -> Callable[..., Any]:
    """Binds the model's program with every step changed."""
    executor = executor_of(model)
    program: Program = replace(executor.program, steps=tuple(change(step) for step in executor.program.steps))

    def made(*arrays: np.ndarray) -> Any:
        env = {value: bound_of(array) for value, array in zip(program.inputs, arrays, strict=True)}
        return bind(program, executor.facts, executor.weights, env, 0)

    return made


def test_an_alias_of_another_size_is_refused():
    def alias(step: Step) -> Step:
        return replace(step, kind=StepKind.ALIAS, kernel=None)

    short, long = np.ones(1, np.float32), np.ones(100, np.float32)
    with pytest.raises(InputError, match=r"at Add 'sum': shape \[1\] cannot become \[100\]"):
        changed(adding(), alias)(short, long)


def test_a_kernel_that_reads_other_values_than_its_step_is_refused():
    def swapped(step: Step) -> Step:
        assert step.kernel is not None
        return replace(step, kernel=KernelCall("softmax", step.kernel.specs, {"op": "Softmax", "version": 13}, (0,)))

    short, long = np.ones(1, np.float32), np.ones(100, np.float32)
    with pytest.raises(InputError, match=r"at Add 'sum': the shape of the output is \[100\] where \[1\] is expected"):
        changed(adding(), swapped)(short, long)


def normalized(*, read: bool) -> Compiled:
    """BatchNormalization as old models have it, with an output that inference does not compute."""
    graph, (x, row) = graph_of(x=(N, 3), row=(3,))
    made, mean = graph.add_node("BatchNormalization", [x, row, row, row, row], 2, name="norm")
    graph.add_output(made, "made")
    if read:
        graph.add_output(mean, "mean")
    return compiled_of(graph, native=True)


def test_an_output_that_no_kernel_computes_is_never_read():
    request = {"x": np.ones((2, 3), np.float32), "row": np.ones(3, np.float32)}
    assert normalized(read=False)(request)["made"].shape == (2, 3)
    with pytest.raises(InputError, match="BatchNormalization 'norm'"):
        normalized(read=True)(request)


def test_more_memory_than_there_is_is_refused_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("graphopt.runtime.memory.machine_memory", lambda: 1 << 20)
    graph, (x, shape) = graph_of(x=(N,), shape=indices(2))
    (wide,) = graph.add_node("Expand", [x, shape])
    (made,) = graph.add_node("Neg", [wide])
    graph.add_output(made, "made")
    model = compiled_of(graph, native=True)
    with pytest.raises(InputError, match="more memory than there is"):
        model({"x": np.ones(1, np.float32), "shape": np.array([2**10, 2**10])})


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (np.ones((5, 2), np.float32), r"float32\[5, 2\]"),
        (np.ones((2, 5), np.float64), r"float64\[2, 5\]"),
        ([np.ones(1)], "list"),
    ],
)
def test_a_step_in_python_that_gives_another_thing_than_was_planned_is_refused(
    gives: Any, says: str, monkeypatch: pytest.MonkeyPatch
):
    graph, (x,) = graph_of(x=(2, 5))
    (made,) = graph.add_node("Neg", [x], name="less")
    graph.add_output(made, "made")
    model = compiled_of(graph, native=False)

    def other(call: object) -> Sequence[Any]:
        return (gives,)

    monkeypatch.setattr("graphopt.runtime.executor.run_call", other)
    with pytest.raises(InputError, match=rf"Neg 'less' gave {says}, its shape rule says float32\[2, 5\]"):
        model({"x": np.ones((2, 5), np.float32)})
