"""Small graphs, compiled to programs of meaning steps without the rest of the compiler."""

from __future__ import annotations

from graphopt.compiler.native import build_native
from graphopt.infer import infer_types
from graphopt.ir import DType, Graph, TensorType, Type, Value
from graphopt.ir.dim import Dim
from graphopt.lower import WeightStore, lower
from graphopt.program import Image, decode, encode
from graphopt.runtime import Compiled
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights
from graphopt_kernels.targets import host_targets

OPSET = {"": 17}


def graph_of(**inputs: tuple[Dim, ...] | Type) -> tuple[Graph, tuple[Value, ...]]:
    """An empty graph with float32 inputs of the shapes given."""
    graph = Graph("test", OPSET)
    made = [
        graph.add_input(name, TensorType(DType.FLOAT32, given) if isinstance(given, tuple) else given)
        for name, given in inputs.items()
    ]
    return graph, tuple(made)


def compiled_of(graph: Graph, *, native: bool) -> Compiled:
    """The graph ready to run, by way of the program's file: by kernels where there are some, or by meanings alone."""
    infer_types(graph)
    store = WeightStore()
    target = host_targets()[0]
    program = lower(graph, store, target, native=native)
    image = Image(tuple(store.table), (program,), {target: 0}, store.nbytes)
    read = decode(encode(image))
    kernels = Kernels(build_native(read.programs[0], target).library)
    return Compiled(read.programs[0], Weights(read.weights, store.block()), kernels, None, 1, lambda path: None)
