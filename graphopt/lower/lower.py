"""Graph → Program: each operator becomes a kernel call, an alias, a meaning or a subprogram.

Selection (`select/`) decides operator by operator; this module numbers values, places constants and walks the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphopt.errors import CompileError
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType
from graphopt.lower.weights import WeightStore
from graphopt.ops.call import plain_attributes
from graphopt.program import KernelCall, Output, Program, Step, StepKind, Subprogram, ValueInfo

ALIASES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Operators whose output is the bytes of their first input under another shape."""


def lower(graph: Graph, store: WeightStore, target: str) -> Program:
    """The program of a graph for one target; its constants go to `store`.

    CompileError for a graph that cannot be put in order.
    """
    return _Lowering(graph, store, target, dict(graph.opsets)).run()


@dataclass(slots=True)
class _Lowering:
    graph: Graph
    store: WeightStore
    target: str
    opsets: dict[str, int]
    values: list[ValueInfo] = field(default_factory=list[ValueInfo])
    numbers: dict[Value, int] = field(default_factory=dict["Value", int])
    steps: list[Step] = field(default_factory=list[Step])

    def run(self) -> Program:
        inputs = tuple(self.number(value) for value in self.graph.inputs)
        captures = tuple(self.number(value) for value in self.graph.captures)
        defaults = {self.number(v): self.store.add_constant(c) for v, c in self.graph.defaults.items()}
        try:
            nodes = self.graph.sorted_nodes()
        except ValueError as error:
            raise CompileError(str(error)) from error
        for node in nodes:
            self.steps.append(self._step(node))
        outputs = tuple(
            Output(name, self.number(value))
            for name, value in zip(self.graph.output_names, self.graph.outputs, strict=True)
        )
        return Program(
            name=self.graph.name,
            opsets=self.opsets,
            values=tuple(self.values),
            inputs=inputs,
            outputs=outputs,
            steps=tuple(self.steps),
            defaults=defaults,
            captures=captures,
        )

    def number(self, value: Value) -> int:
        """The number of a value; a constant's elements go to the weights block when it is first asked for."""
        found = self.numbers.get(value)
        if found is None:
            found = self.numbers[value] = len(self.values)
            weight = None if value.constant is None else self.store.add_constant(value.constant)
            self.values.append(ValueInfo(value.name, value.type, weight))
        return found

    def _numbers(self, values: Sequence[Value | None]) -> tuple[int | None, ...]:
        return tuple(None if value is None else self.number(value) for value in values)

    def _step(self, node: Node) -> Step:
        inputs, outputs = self.graph.inputs_of(node), self.graph.outputs_of(node)
        subgraphs = {
            name: attribute.value for name, attribute in node.attributes.items() if isinstance(attribute.value, Graph)
        }
        attributes = plain_attributes({k: a for k, a in node.attributes.items() if k not in subgraphs})
        kind = StepKind.MEANING
        kernel: KernelCall | None = None
        if subgraphs:
            kind = StepKind.CONTROL
        elif self._is_alias(node, inputs, outputs):
            kind = StepKind.ALIAS
        return Step(
            kind=kind,
            op=node.op,
            domain="" if node.domain == "ai.onnx" else node.domain,
            attributes=attributes,
            inputs=self._numbers(inputs),
            outputs=self._numbers(outputs),
            name=node.name or ", ".join(node.source),
            kernel=kernel,
            subprograms=tuple(self._subprogram(node, name, graph) for name, graph in sorted(subgraphs.items())),
        )

    def _is_alias(self, node: Node, inputs: Sequence[Value | None], outputs: Sequence[Value | None]) -> bool:
        if node.op not in ALIASES or node.domain not in ("", "ai.onnx") or not inputs or inputs[0] is None:
            return False
        given = inputs[0].type
        return isinstance(given, TensorType) and given.dtype is not None and len(outputs) == 1

    def _subprogram(self, node: Node, name: str, graph: Any) -> Subprogram:
        inner = _Lowering(graph, self.store, self.target, {**self.opsets, **graph.opsets})
        program = inner.run()
        outside = self.graph.captures_of(node)
        return Subprogram(name, program, tuple(self.number(outside[value.name]) for value in graph.captures))
