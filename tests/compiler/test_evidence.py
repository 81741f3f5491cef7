"""The whole-model check: right programs pass it, planted errors do not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import graphopt.compiler.compile_model as compiling
from graphopt.check import allowances, compare, interpret
from graphopt.compiler.evidence import seeded_feeds
from graphopt.frontend import read_onnx


def network(
    *, weight: float = 1.0, epsilon: float = 1e-3, pads: tuple[int, ...] = (1, 0, 0, 1), relu: bool = True
) -> ModelProto:
    """Convolution, normalisation, activation, product: with an error where an argument says so."""
    rng = np.random.default_rng(7)
    shapes = {"k": (8, 3, 3, 3), "s": (8,), "b": (8,), "m": (8,), "v": (8,), "w": (8, 16)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["v"] = np.abs(arrays["v"])
    arrays["w"] = (arrays["w"] * np.float32(weight)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=pads),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"], epsilon=epsilon),
        helper.make_node("Relu" if relu else "Identity", ["n"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "w"], ["p"]),
        helper.make_node("Tanh", ["p"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "network", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_right_program_passes_with_every_seed() -> None:
    evidence = compiling.compile_model(network(), targets=["x86-64-v3"]).report.evidence  # pyright: ignore[reportOptionalMemberAccess]  # compiled here
    assert evidence.checked
    assert evidence.seeds == (0, 1)


@pytest.mark.parametrize(
    "wrong",
    [{"weight": 1.0001}, {"epsilon": 1.1e-3}, {"pads": (0, 1, 1, 0)}, {"relu": False}],
    ids=lambda w: next(iter(w)),
)
def test_a_planted_error_is_refused(wrong: dict[str, object]) -> None:
    graph = read_onnx(network())
    feeds = seeded_feeds(graph, 0, {})
    expected = interpret(graph, feeds)
    got = interpret(read_onnx(network(**wrong)), feeds)  # pyright: ignore[reportArgumentType]  # parametrised
    allowed = allowances(graph, feeds, expected)
    assert not compare(expected["y"], got["y"], "reassociate", allowed["y"]).agrees


def test_a_check_that_ran_out_of_operations_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gather = compiling.gather
    monkeypatch.setattr(compiling, "gather", lambda *given: gather(*given, operations=1))
    evidence = compiling.compile_model(network(), targets=["x86-64-v3"]).report.evidence  # pyright: ignore[reportOptionalMemberAccess]  # compiled here
    assert not evidence.checked
    assert "ended after" in evidence.reason
