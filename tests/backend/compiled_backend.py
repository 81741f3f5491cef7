"""graphopt as a `Backend` of onnx: a model compiled, and run on inputs in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.backend.base import Backend, BackendRep

import graphopt
from graphopt.compiler import optimize_graph
from graphopt.compiler.meanings import check_meanings
from graphopt.frontend import read_onnx
from graphopt.infer import infer_types
from graphopt.ops.call import as_text
from graphopt.runtime import Compiled
from graphopt_kernels.targets import host_targets
from tests.runtime.models import compiled_of


class CompiledRep(BackendRep):
    """A compiled model, called with a list of inputs."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs in order, for inputs in the order of the signature; those at the end may be left out."""
        names = [port.name for port in self.compiled.inputs]
        return tuple(self.compiled(dict(zip(names, map(as_input, inputs), strict=False))).values())


class CompiledBackend(Backend):
    """Compiles for this machine; without `native`, every operator runs its meaning in the same program."""

    native = True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> CompiledRep:
        """The model, compiled."""
        if cls.native:
            return CompiledRep(graphopt.compile(model, targets=host_targets()[:1], threads=1, check=False))
        graph = read_onnx(model)
        infer_types(graph)
        optimize_graph(graph)
        infer_types(graph)
        compiled = compiled_of(graph, native=False)
        check_meanings(compiled.program)
        return CompiledRep(compiled)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """The processor only."""
        return device == "CPU"


class UncompiledBackend(CompiledBackend):
    """As `CompiledBackend`, with no native kernel."""

    native = False


def as_input(value: Any) -> Any:
    """A case's value as a request holds it."""
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [as_input(item) for item in value]
    if value is None or isinstance(value, dict):
        return value
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return as_text(array) if array.dtype.kind in "USO" else array
