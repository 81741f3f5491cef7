"""One operator as selection sees it, and what selection answers."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType
from graphopt_kernels.abi import KernelSpec


@dataclass(frozen=True, slots=True)
class Site:
    """An operator in its graph, for one target."""

    graph: Graph
    node: Node
    version: int
    attributes: Mapping[str, Any]
    """Plain values, as `graphopt.ops.Call` has them."""
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value | None, ...]
    target: str
    taken: AbstractSet[Node] = frozenset()
    """Operators that other kernels compute along already."""

    @property
    def op(self) -> str:
        """The operator's name, with its domain where it is not the default one."""
        domain = "" if self.node.domain == "ai.onnx" else self.node.domain
        return f"{domain}::{self.node.op}" if domain else self.node.op

    def dtypes(self) -> list[np.dtype | None] | None:
        """The element types of the inputs; None when one of them is not known, or is no number."""
        found: list[np.dtype | None] = []
        for value in self.inputs:
            if value is None:
                found.append(None)
                continue
            dtype = dtype_of(value)
            if dtype is None:
                return None
            found.append(dtype)
        return found


@dataclass(frozen=True, slots=True)
class Operand:
    """What a kernel reads: a value of the graph, or an array made from a constant for this kernel."""

    value: Value | None
    packed: np.ndarray | None = None
    """In the kernel's layout; the shape that binding sees is still the operator's."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A kernel for an operator, and the operators after it that it computes along."""

    family: str
    specs: tuple[KernelSpec, ...]
    attributes: Mapping[str, Any]
    inputs: tuple[Operand | None, ...]
    absorbed: tuple[Node, ...] = ()
    """In order; the last one's output is the step's."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Attributes that the operator's shape rule needs where subgraphs are gone."""


def dtype_of(value: Value) -> np.dtype | None:
    """The numpy dtype of a tensor of numbers; None for everything else."""
    if value.constant is not None:
        dtype = value.constant.dtype
    elif isinstance(value.type, TensorType) and value.type.dtype is not None:
        dtype = value.type.dtype
    else:
        return None
    return None if dtype is DType.STRING else dtype.numpy
