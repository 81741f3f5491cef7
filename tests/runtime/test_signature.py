"""A request that does not fit is refused with what was expected and what came; one that fits is taken as it comes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt.errors import InputError
from graphopt.ir import DType, Graph, SequenceType, TensorType, symbol
from graphopt.runtime import Compiled
from tests.runtime.models import graph_of

N = symbol("N")
Build = Callable[[Graph], Compiled]


@pytest.fixture(scope="module")
def adder(build: Build) -> Compiled:
    graph, (a, b) = graph_of(a=(N, 3), b=(N, 3))
    (y,) = graph.add_node("Add", [a, b])
    graph.add_output(y, "sum")
    return build(graph)


def ones(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.ones(shape, dtype)


@pytest.mark.parametrize(
    ("feeds", "says"),
    [
        ({"a": ones(2, 3)}, r"input 'b' is missing: expected float32\[N, 3\]"),
        ({"a": ones(2, 3), "b": ones(2, 3), "c": ones(1)}, r"no input 'c'; it takes 'a', 'b'"),
        ({"a": ones(2, 3, dtype="float64"), "b": ones(2, 3)}, "input 'a': expected dtype float32 .* got float64"),
        ({"a": ones(2, 3, 1), "b": ones(2, 3)}, r"input 'a': expected rank 2 .* got rank 3 with shape \[2, 3, 1\]"),
        ({"a": ones(2, 4), "b": ones(2, 3)}, r"input 'a': expected 3 in dimension 1 .* got 4"),
        ({"a": ones(2, 3), "b": ones(4, 3)}, "dimension 'N' is 2 in dimension 0 of input 'a', but 4 in .*'b'"),
        ({"a": [[1.0, 2.0], [1.0]], "b": ones(2, 3)}, "input 'a': expected .* got no array"),
    ],
)
def test_what_does_not_fit_is_one_sentence(adder: Compiled, feeds: dict[str, object], says: str):
    with pytest.raises(InputError, match=says):
        adder(feeds)


@pytest.mark.parametrize("feeds", [None, [ones(2, 3)], ones(2, 3)])
def test_what_has_no_names_is_one_sentence(adder: Compiled, feeds: Any):
    with pytest.raises(InputError, match="expected inputs by name"):
        adder(feeds)


def test_a_request_for_more_memory_than_there_is_is_one_sentence(build: Build):
    graph, (x,) = graph_of(x=(1,))
    shape = graph.add_input("shape", TensorType(DType.INT64, (1,)))
    (y,) = graph.add_node("Expand", [x, shape])
    graph.add_output(y, "y")
    with pytest.raises(InputError, match="more memory than there is"):
        build(graph)({"x": ones(1), "shape": np.array([2**50])})


def test_refusals_stay_after_a_plan_is_known(adder: Compiled):
    adder({"a": ones(2, 3), "b": ones(2, 3)})
    with pytest.raises(InputError, match="dimension 'N'"):
        adder({"a": ones(2, 3), "b": ones(4, 3)})
    with pytest.raises(InputError, match="float64"):
        adder({"a": ones(2, 3), "b": ones(2, 3, dtype="float64")})


def test_strides_and_byte_order_do_not_matter(adder: Compiled):
    a = np.arange(12, dtype="float32").reshape(3, 4).T[:, ::1]
    swapped = np.arange(12, dtype=">f4").reshape(4, 3)
    found = adder({"a": a, "b": swapped})["sum"]
    np.testing.assert_array_equal(found, a + swapped.astype("float32"))
    unaligned = np.frombuffer(bytearray(49), np.uint8)[1:].view("float32").reshape(4, 3)
    np.testing.assert_array_equal(adder({"a": unaligned, "b": swapped})["sum"], swapped)


def test_no_rows_are_rows(adder: Compiled):
    assert adder({"a": ones(0, 3), "b": ones(0, 3)})["sum"].shape == (0, 3)


def test_scalars_and_numbers_fit_rank_zero(build: Build):
    graph, (x,) = graph_of(x=())
    graph.add_output(graph.add_node("Neg", [x])[0], "y")
    model = build(graph)
    assert model({"x": np.float32(2)})["y"] == -2
    assert model({"x": np.array(2, "float32")})["y"].shape == ()


def test_strings_come_as_text_bytes_or_objects(build: Build):
    graph, (x,) = graph_of(x=TensorType(DType.STRING, (symbol("n"),)))
    graph.add_output(graph.add_node("Identity", [x])[0], "y")
    model = build(graph)
    for given in (np.array(["a", "ü"]), np.array(["a", "ü"], object), np.array([b"a", "ü".encode()], object)):
        assert model({"x": given})["y"].tolist() == ["a", "ü"]
    with pytest.raises(InputError, match="expected strings"):
        model({"x": ones(2)})


def test_an_overridable_initializer_may_be_left_out_or_given(build: Build):
    graph, (x,) = graph_of(x=(2,))
    from graphopt.ir import Dense

    scale = graph.add_input("scale", TensorType(DType.FLOAT32, (2,)), Dense.of(np.array([10, 20], "float32")))
    graph.add_output(graph.add_node("Mul", [x, scale])[0], "y")
    model = build(graph)
    assert model({"x": ones(2)})["y"].tolist() == [10, 20]
    assert model({"x": ones(2), "scale": ones(2)})["y"].tolist() == [1, 1]
    assert [port.optional for port in model.inputs] == [False, True]


def test_the_elements_of_a_sequence_are_held_to_its_type(build: Build):
    graph, (s, i) = graph_of(s=SequenceType(TensorType(DType.FLOAT32, (2, N))), i=TensorType(DType.INT64, ()))
    graph.add_output(graph.add_node("SequenceAt", [s, i])[0], "y")
    model = build(graph)
    assert model({"s": [ones(2, 3), ones(2, 5)], "i": np.array(1)})["y"].shape == (2, 5)
    for wrong, says in (
        ([ones(2, 3), ones(3, 3)], r"input 's\[1\]': expected 2 in dimension 0"),
        ([ones(2, 3, dtype="float64")], r"input 's\[0\]': expected dtype float32"),
        ([ones(2)], r"input 's\[0\]': expected rank 2"),
        (ones(2, 3), r"input 's': expected seq\(float32\[2, N\]\), a list, got ndarray"),
    ):
        with pytest.raises(InputError, match=says):
            model({"s": wrong, "i": np.array(0)})
