"""Small graphs, compiled to programs of meaning steps without the rest of the compiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.ir import DType, Graph, TensorType, Value
from graphopt.ir.dim import Dim
from graphopt.lower import WeightStore, lower
from graphopt.program import Image, Program, decode, encode
from graphopt.runtime import Compiled
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights

OPSET = {"": 17}


def graph_of(**inputs: tuple[Dim, ...] | TensorType) -> tuple[Graph, tuple[Value, ...]]:
    """An empty graph with float32 inputs of the shapes given."""
    graph = Graph("test", OPSET)
    made = [
        graph.add_input(name, given if isinstance(given, TensorType) else TensorType(DType.FLOAT32, given))
        for name, given in inputs.items()
    ]
    return graph, tuple(made)


def compiled_of(graph: Graph) -> Compiled:
    """The graph ready to run, by way of the program's file."""
    store = WeightStore()
    program = lower(graph, store, "x86-64-v3")
    image = Image(tuple(store.table), (program,), {"x86-64-v3": 0}, store.nbytes)
    read = decode(encode(image))
    return Compiled(read.programs[0], Weights(read.weights, store.block()), Kernels(None), None, 1, lambda path: None)


def program_of(graph: Graph) -> Program:
    """The graph's program."""
    return lower(graph, WeightStore(), "x86-64-v3")


def run(graph: Graph, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The graph's outputs by name."""
    return compiled_of(graph)(feeds)
