"""What a model declares of its inner values proves nothing: a fact is inferred, or held to when a request comes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from onnx import ModelProto, numpy_helper, parser

import graphopt
from graphopt.errors import InputError, ModelError
from graphopt.frontend import read_onnx
from graphopt.infer import infer_types
from graphopt.ir import Graph, TensorType, Value
from graphopt.runtime import Compiled

W = np.ones((3, 2, 1, 1), np.float32)


def model(text: str, tensors: Mapping[str, np.ndarray] | None = None) -> ModelProto:
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (tensors or {}).items())
    return made


def inferred(text: str, tensors: Mapping[str, np.ndarray] | None = None) -> dict[str, Value]:
    graph = read_onnx(model(text, tensors))
    infer_types(graph)
    return {value.name: value for value in every(graph)}


def every(graph: Graph) -> list[Value]:
    inner = [value for node in graph.nodes() for body in graph.subgraphs_of(node) for value in every(body)]
    return [*graph.values(), *inner]


def shape(value: Value) -> tuple[object, ...]:
    assert isinstance(value.type, TensorType)
    assert value.type.shape is not None
    return value.type.shape


def compiled(text: str, tensors: Mapping[str, np.ndarray]) -> Compiled:
    return graphopt.compile(model(text, tensors), targets=("x86-64-v3",), threads=1, check=False)


def absorbed(made: Compiled) -> list[str]:
    return [op for step in made.program.steps for op in step.absorbed]


CONV = "c = Conv(x, w)"
RESIDUALS = {
    "an element of a sequence that came": f"""(float[1,2,H,V] x, seq(float[1,3,H,V]) s, int64 i) => (float[1,3,H,V] y)
        <float[1,3,H,V] r> {{ {CONV} r = SequenceAt(s, i) y = Add(c, r) }}""",
    "an element of a sequence that was made": f"""(float[1,2,H,V] x, float[1,3,H,V] a, float[1,3,P,Q] b, int64 i)
        => (float[1,3,H,V] y) <float[1,3,H,V] r> {{ {CONV} s = SequenceConstruct(a, b) r = SequenceAt(s, i)
        y = Add(c, r) }}""",
    "a shape that data decides": f"""(float[1,2,H,V] x, float[1,3,P,Q] a, int64[4] k) => (float[1,3,H,V] y)
        <float[1,3,H,V] r> {{ {CONV} r = Reshape(a, k) y = Add(c, r) }}""",
}


@pytest.mark.parametrize("text", RESIDUALS.values(), ids=RESIDUALS)
def test_a_residual_of_declared_shape_is_not_fused(text: str) -> None:
    assert absorbed(compiled(text, {"w": W})) == []


def test_a_residual_of_inferred_shape_is_fused() -> None:
    text = f"(float[1,2,H,V] x, float[1,3,H,V] a) => (float[1,3,H,V] y) {{ {CONV} r = Softmax(a) y = Add(c, r) }}"
    assert absorbed(compiled(text, {"w": W})) == ["Add"]


def test_a_residual_that_is_smaller_than_it_is_declared_is_refused_or_broadcast() -> None:
    made = compiled(RESIDUALS["an element of a sequence that was made"], {"w": W})
    feeds = {"x": np.ones((1, 2, 4, 4), np.float32), "a": np.ones((1, 3, 4, 4), np.float32)}
    with pytest.raises(InputError, match="at Add 'y': cannot broadcast the dimension 4 with 2"):
        made({**feeds, "b": np.ones((1, 3, 2, 2), np.float32), "i": np.array(1)})
    assert made({**feeds, "b": np.ones((1, 3, 2, 2), np.float32), "i": np.array(0)})["y"].sum() == 3 * 3 * 16


def test_a_default_is_held_to_the_sizes_of_the_request() -> None:
    text = f"(float[1,2,H,V] x, float[1,3,H,V] r) => (float[1,3,H,V] y) {{ {CONV} y = Add(c, r) }}"
    made = compiled(text, {"w": W, "r": np.ones((1, 3, 2, 2), np.float32)})
    assert absorbed(made) == ["Add"]
    assert made({"x": np.ones((1, 2, 2, 2), np.float32)})["y"].shape == (1, 3, 2, 2)
    with pytest.raises(InputError, match=r"'H' is 4 in dimension 2 of input 'x', but 2 .*'r', left at its default"):
        made({"x": np.ones((1, 2, 4, 4), np.float32)})


@pytest.mark.parametrize("default", [np.ones((3, 5), np.float32), np.ones(4, np.float32), np.ones((3, 4), np.float64)])
def test_a_default_of_another_type_than_its_input_does_not_compile(default: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"input 'r' is declared float32\[3, 4\], but its default is"):
        inferred("(float[3,4] x, float[3,4] r) => (float[3,4] y) { y = Add(x, r) }", {"r": default})


def test_two_elements_of_a_sequence_have_sizes_of_their_own() -> None:
    values = inferred("(seq(float[N]) s, int64 i, int64 j) => (float[N] a, float[N] b) "
                      "{ a = SequenceAt(s, i) b = SequenceAt(s, j) }")  # fmt: skip
    (a,), (b,) = shape(values["a"]), shape(values["b"])
    assert len({str(a), str(b), "N"}) == 3


def test_the_body_of_a_map_knows_of_its_elements_what_the_sequences_say() -> None:
    values = inferred("""(seq(float[2,N]) s, float[M] t) => (seq(float[2,N]) z) {
        z = SequenceMap (s, t) <body = b (float[5,K] p, float[K] q) => (float[5,K] o) { o = Add(p, q) }> }""")
    assert shape(values["p"])[0] == 2
    assert {str(dim) for dim in (shape(values["p"])[1], *shape(values["q"]))}.isdisjoint({"N", "K"})


def test_the_body_of_an_operator_nobody_knows_is_given_nothing_that_is_known() -> None:
    made = model("(float[N] x) => (float[N] y) "
                 "{ y = my.Gadget (x) <body = b (float[N] p) => (float[N] o) { o = Neg(p) }> }")  # fmt: skip
    made.opset_import.add(domain="my", version=1)
    graph = read_onnx(made)
    infer_types(graph)
    types = {value.name: value.type for value in every(graph)}
    assert (types["p"], types["o"], types["y"]) == (None, TensorType(None), None)


def test_no_name_of_a_value_passes_for_an_open_dimension_of_another() -> None:
    text = "(float[?] x, int64[2] k, float[?] r) => (float[?] y) { a, b = Split(x, k) y = Add(b, r) }"
    made = model(text)
    made.graph.input[2].name = made.graph.node[1].input[1] = "a.1"
    graph = read_onnx(made)
    infer_types(graph)
    values = {value.name: value for value in graph.values()}
    assert shape(values["b"]) != shape(values["a.1"])
