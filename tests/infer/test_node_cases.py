"""Shape rules against the truth: the outputs that onnx's own node cases record."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

from graphopt.errors import ModelError
from graphopt.frontend import read_onnx
from graphopt.infer import infer_types
from graphopt.ir import DType, Expr, Graph, TensorType, symbol
from graphopt.ops import shape_rule_of

Case = tuple[str, ModelProto, list[object], list[object]]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases compute their data with overflows on purpose
        loaded = load_model_tests(kind="node")
    found: list[Case] = []
    for case in loaded:
        if case.model is None or not case.data_sets:
            continue
        inputs, outputs = case.data_sets[0]
        found.append((case.name, case.model, [plain(x) for x in inputs], [plain(x) for x in outputs]))
    return found


def plain(item: object) -> object:
    if isinstance(item, TensorProto):
        return numpy_helper.to_array(item)
    return np.asarray(item) if isinstance(item, np.generic) else item


def test_types_of_declared_shapes_are_those_of_the_results(cases: list[Case]) -> None:
    for name, model, _, outputs in cases:
        graph = without_declared_outputs(read_onnx(model))
        infer_types(graph)
        for type, output in results(graph, outputs):
            assert fits(type, output, {}), f"{name}: {type} for {output.dtype}{list(output.shape)}"


def test_types_of_symbolic_shapes_give_the_results_when_the_symbols_are_replaced(cases: list[Case]) -> None:
    exact = 0
    for name, model, inputs, outputs in cases:
        graph = without_declared_outputs(read_onnx(model))
        sizes = make_symbolic(graph, inputs)
        infer_types(graph)
        for type, output in results(graph, outputs):
            assert fits(type, output, sizes), f"{name}: {type} for {output.dtype}{list(output.shape)} with {sizes}"
            exact += is_exact(type, sizes)
    assert exact > 1000


def test_known_elements_of_inputs_give_exact_shapes(cases: list[Case]) -> None:
    """With numbers for all dims and all elements known, as at binding, nothing is left open but what data decides."""
    for name, model, inputs, outputs in cases:
        graph = without_declared_outputs(read_onnx(model))
        make_constant(graph, inputs)
        infer_types(graph)
        for type, output in results(graph, outputs):
            assert fits(type, output, {}), f"{name}: {type} for {output.dtype}{list(output.shape)}"


def test_inferring_twice_changes_nothing(cases: list[Case]) -> None:
    for name, model, _, _ in cases[::7]:
        graph = read_onnx(model)
        infer_types(graph)
        once = [value.type for value in graph.values()]
        infer_types(graph)
        assert [value.type for value in graph.values()] == once, name


def without_declared_outputs(graph: Graph) -> Graph:
    for value in graph.values():
        if graph.producer(value) is not None and all(shape_rule_of(n.op, n.domain) for n in graph.nodes()):
            value.type = None
    return graph


def results(graph: Graph, outputs: Sequence[object]) -> Iterator[tuple[TensorType, np.ndarray]]:
    for value, output in zip(graph.outputs, outputs, strict=False):
        if isinstance(value.type, TensorType) and isinstance(output, np.ndarray):
            yield value.type, output


def make_symbolic(graph: Graph, inputs: Sequence[object]) -> dict[str, int]:
    """Give every dimension of every input a name; gives what the names stand for."""
    sizes: dict[str, int] = {}
    for value, array in zip(graph.inputs, inputs, strict=False):
        if not isinstance(value.type, TensorType) or not isinstance(array, np.ndarray):
            continue
        names = [f"{value.name}_{axis}" for axis in range(array.ndim)]
        sizes.update(zip(names, array.shape, strict=True))
        value.type = TensorType(value.type.dtype, tuple(symbol(name) for name in names))
    return sizes


def make_constant(graph: Graph, inputs: Sequence[object]) -> None:
    from graphopt.ir import Dense

    for value, array in zip(graph.inputs, inputs, strict=False):
        if isinstance(value.type, TensorType) and isinstance(array, np.ndarray) and value.type.dtype:
            value.constant = Dense(array, value.type.dtype)


def fits(type: TensorType, array: np.ndarray, sizes: dict[str, int]) -> bool:
    if type.dtype is not None and type.dtype is not DType.STRING and type.dtype.numpy != array.dtype:
        return False
    if type.shape is None:
        return True
    if len(type.shape) != array.ndim:
        return False
    for dim, size in zip(type.shape, array.shape, strict=True):
        if isinstance(dim, Expr) and dim.symbols <= set(sizes):
            dim = dim.evaluate(sizes)
        if isinstance(dim, int) and dim != size:
            return False
    return True


def is_exact(type: TensorType, sizes: dict[str, int]) -> bool:
    return type.shape is not None and all(isinstance(dim, int) or dim.symbols <= set(sizes) for dim in type.shape)


def test_a_broken_application_is_refused_by_the_name_of_its_node() -> None:
    node = onnx.helper.make_node("MatMul", ["a", "b"], ["c"], name="product")
    infos = [onnx.helper.make_tensor_value_info(n, 1, s) for n, s in (("a", [2, 3]), ("b", [4, 5]), ("c", None))]
    graph = onnx.helper.make_graph([node], "g", infos[:2], infos[2:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)])
    with pytest.raises(ModelError, match="node 'product': MatMul: the inner dimensions must agree, got 3 and 4"):
        infer_types(read_onnx(model))
