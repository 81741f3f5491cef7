"""The check of `compile`: right programs pass it, planted errors do not, whatever the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

import graphopt.compiler.compile_model as compiling
from graphopt.compiler.report import Evidence
from graphopt.errors import CompileError
from graphopt.ir.attribute import Attribute
from graphopt.ir.constant import Dense
from graphopt.ir.graph import Graph, Node, Value

TARGET = ["x86-64-v3"]


def network() -> ModelProto:
    """Convolution, normalisation, activation, product."""
    rng = np.random.default_rng(7)
    shapes = {"k": (8, 3, 3, 3), "s": (8,), "b": (8,), "m": (8,), "v": (8,), "w": (8, 16)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["v"] = np.abs(arrays["v"])
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 0, 0, 1]),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"], epsilon=1e-3),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("MatMul", ["t", "w"], ["p"]),
        helper.make_node("Tanh", ["p"], ["y"]),
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return model(nodes, {"x": (TensorProto.FLOAT, [1, 3, 8, 8])}, weights)


def model(
    nodes: Sequence[NodeProto],
    inputs: dict[str, tuple[int, Sequence[int | str]]],
    weights: list[TensorProto],
    opset: int = 17,
    out: int = TensorProto.FLOAT,
) -> ModelProto:
    ports = [helper.make_tensor_value_info(name, dtype, shape) for name, (dtype, shape) in inputs.items()]
    y = helper.make_tensor_value_info("y", out, None)
    graph = helper.make_graph(nodes, "network", ports, [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def evidence_of(source: ModelProto) -> Evidence:
    report = compiling.compile_model(source, targets=TARGET).report
    assert report is not None
    return report.evidence


def node_of(graph: Graph, op: str) -> Node:
    return next(node for node in graph.nodes() if node.op == op)


def value_of(graph: Graph, name: str) -> Value:
    return next(value for value in graph.values() if value.name == name)


def change_weight(name: str, change: Callable[[np.ndarray], None]) -> Callable[[Graph], None]:
    def spoil(graph: Graph) -> None:
        value = value_of(graph, name)
        assert value.constant is not None
        array = value.constant.array().copy()
        change(array)
        value.constant = Dense.of(array)

    return spoil


def change_attribute(op: str, name: str, item: object) -> Callable[[Graph], None]:
    def spoil(graph: Graph) -> None:
        node_of(graph, op).attributes = {**node_of(graph, op).attributes, name: Attribute.of(item)}

    return spoil


def drop_relu(graph: Graph) -> None:
    node_of(graph, "Relu").op = "Identity"


def scaled(by: float) -> Callable[[np.ndarray], None]:
    return lambda a: a.__setitem__(..., a * np.float32(by))


WRONG: dict[str, Callable[[Graph], None]] = {
    "all weights of the product times 1.0001": change_weight("w", scaled(1.0001)),
    "one weight of the convolution negated": change_weight("k", lambda a: a.__setitem__((5, 1, 2, 0), -a[5, 1, 2, 0])),
    "one channel's shift dropped": change_weight("b", lambda a: a.__setitem__(3, 0)),
    "two channels exchanged": change_weight("k", lambda a: a.__setitem__([2, 6], a[[6, 2]])),
    "epsilon a tenth larger": change_attribute("BatchNormalization", "epsilon", 1.1e-3),
    "pads on the other sides": change_attribute("Conv", "pads", (0, 1, 1, 0)),
    "an activation dropped": drop_relu,
}


def test_a_right_program_passes_with_every_seed() -> None:
    evidence = evidence_of(network())
    assert evidence.checked
    assert evidence.seeds == (0, 1)
    assert evidence.comparisons >= 6
    assert 0 < evidence.share < 1
    assert evidence.worst_difference is not None
    assert evidence.worst_difference < 1e-5


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_compile_refuses_what_a_wrong_rewrite_made(
    wrong: Callable[[Graph], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    optimize = compiling.optimize_graph

    def spoiled(graph: Graph, *given: object, **options: object) -> object:
        wrong(graph)
        return optimize(graph, *given, **options)  # pyright: ignore[reportArgumentType]  # passed on as they are

    monkeypatch.setattr(compiling, "optimize_graph", spoiled)
    with pytest.raises(CompileError, match=r"the compiled model is wrong: .* should give .* and gave"):
        compiling.compile_model(network(), targets=TARGET)


def test_a_check_that_ran_out_of_its_budget_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gather = compiling.gather
    monkeypatch.setattr(compiling, "gather", lambda *given, **options: gather(*given, **{**options, "granted": 1}))
    evidence = evidence_of(network())
    assert not evidence.checked
    assert evidence.reason.startswith("its budget was spent")


def floats(name: str, *shape: int, seed: int = 0, dtype: type = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.random.default_rng(seed).standard_normal(shape).astype(dtype), name)


def convolution(shape: Sequence[int | str], weights: Sequence[int], **attributes: object) -> ModelProto:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)]  # pyright: ignore[reportArgumentType]
    return model(nodes, {"x": (TensorProto.FLOAT, shape)}, [floats("w", *weights)])


RIGHT: dict[str, Callable[[], ModelProto]] = {
    "a 1×1 convolution of three channels": lambda: convolution([1, 3, 61, 67], [64, 3, 1, 1]),
    "a depthwise convolution along one axis": lambda: convolution([2, 48, 90], [48, 1, 3], group=48),
    "a grouped convolution of few elements": lambda: convolution([1, 6, 4, 4], [4, 3, 3, 3], group=2),
    "a transposed 1×1 convolution": lambda: model(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"])],
        {"x": (TensorProto.FLOAT, [1, 8, 30, 30])},
        [floats("w", 8, 4, 1, 1)],
    ),
    "a product with two features": lambda: model(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"])],
        {"x": (TensorProto.FLOAT, [500, 2])},
        [floats("w", 2, 40), floats("b", 40)],
    ),
    "Gelu by itself": lambda: model(
        [helper.make_node("Gelu", ["x"], ["y"])], {"x": (TensorProto.FLOAT, [3, 5000])}, [], opset=20
    ),
    "a convolution in float64": lambda: model(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        {"x": (TensorProto.DOUBLE, [1, 3, 20, 20])},
        [floats("w", 8, 3, 3, 3, dtype=np.float64)],
        out=TensorProto.DOUBLE,
    ),
    "a quantum after a convolution": lambda: model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
            helper.make_node("QuantizeLinear", ["c", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, [1, 16, 40, 40])},
        [
            floats("w", 64, 16, 3, 3),
            numpy_helper.from_array(np.array(0.01, np.float32), "s"),
            numpy_helper.from_array(np.array(3, np.int8), "z"),
        ],
    ),
}


@pytest.mark.parametrize("right", RIGHT.values(), ids=RIGHT.keys())
def test_no_right_result_is_called_wrong(right: Callable[[], ModelProto]) -> None:
    evidence = evidence_of(right())
    assert evidence.checked, evidence.reason


OPEN: dict[str, Callable[[], ModelProto]] = {
    "an image that no padding saves": lambda: model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"]),
            helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2]),
            helper.make_node("Conv", ["b", "v"], ["y"]),
        ],
        {"x": (TensorProto.FLOAT, ["N", 3, "H", "W"])},
        [floats("w", 4, 3, 5, 5), floats("v", 4, 4, 5, 5)],
    ),
    "sound that strides shorten": lambda: model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], strides=[5]),
            helper.make_node("Conv", ["a", "v"], ["b"], strides=[4]),
            helper.make_node("Conv", ["b", "v"], ["y"], strides=[2]),
        ],
        {"x": (TensorProto.FLOAT, ["N", 1, "T"])},
        [floats("w", 4, 1, 10), floats("v", 4, 4, 8)],
    ),
    "channels that groups divide": lambda: convolution(["N", "C", 6, 6], [8, 5, 3, 3], group=4),
    "two inputs of one size": lambda: model(
        [helper.make_node("MatMul", ["x", "z"], ["y"])],
        {"x": (TensorProto.FLOAT, ["A", "K"]), "z": (TensorProto.FLOAT, ["L", 3])},
        [],
    ),
    "rows of a table": lambda: model(
        [helper.make_node("Gather", ["t", "x"], ["g"]), helper.make_node("MatMul", ["g", "w"], ["y"])],
        {"x": (TensorProto.INT64, ["N"])},
        [floats("t", 100, 8), floats("w", 8, 8)],
    ),
}


@pytest.mark.parametrize("source", OPEN.values(), ids=OPEN.keys())
def test_sizes_are_found_that_the_model_takes(source: Callable[[], ModelProto]) -> None:
    evidence = evidence_of(source())
    assert evidence.checked, evidence.reason
    assert evidence.seeds == (0, 1)


def test_a_row_that_no_input_looks_up_is_compared_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    optimize = compiling.optimize_graph

    def spoiled(graph: Graph, *given: object, **options: object) -> object:
        change_weight("t", lambda a: a.__setitem__((77, 5), -a[77, 5]))(graph)
        return optimize(graph, *given, **options)  # pyright: ignore[reportArgumentType]  # passed on as they are

    table = floats("t", 30_000, 8)
    source = model([helper.make_node("Gather", ["t", "x"], ["y"])], {"x": (TensorProto.INT64, ["N"])}, [table])
    monkeypatch.setattr(compiling, "optimize_graph", spoiled)
    with pytest.raises(CompileError, match="the constant should give"):
        compiling.compile_model(source, targets=TARGET)


def test_a_model_that_takes_no_inputs_that_are_tried_is_compiled_and_says_so() -> None:
    source = model(
        [helper.make_node("Concat", ["x", "w"], ["c"], axis=1), helper.make_node("Relu", ["c"], ["y"])],
        {"x": (TensorProto.FLOAT, ["N", 3])},
        [floats("w", 7919, 2)],
    )
    evidence = evidence_of(source)
    assert not evidence.checked
    assert "no inputs were found that the model takes" in evidence.reason
