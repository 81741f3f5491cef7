"""Graph → Program: each operator becomes a kernel call, an alias, a meaning or a subprogram.

Selection (`select/`) decides operator by operator; this module numbers values, places constants and walks the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from graphopt.errors import CompileError
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Node, Value
from graphopt.ir.types import TensorType
from graphopt.lower.select import Choice, Operand, Site, choose
from graphopt.lower.weights import WeightStore
from graphopt.ops.call import plain_attributes
from graphopt.ops.table import shape_rule_of
from graphopt.program import KernelCall, Output, Program, Step, StepKind, Subprogram, ValueInfo

ALIASES = frozenset({"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"})
"""Operators whose output is the bytes of their first input under another shape."""


def lower(graph: Graph, store: WeightStore, target: str, *, native: bool = True) -> Program:
    """The program of a graph for one target; its constants go to `store`.

    Without `native` every operator runs its meaning.  CompileError for a graph that cannot be put in order.
    """
    return _Lowering(graph, store, target, dict(graph.opsets), native).run()


@dataclass(slots=True)
class _Lowering:
    graph: Graph
    store: WeightStore
    target: str
    opsets: dict[str, int]
    native: bool
    values: list[ValueInfo] = field(default_factory=list[ValueInfo])
    numbers: dict[Value, int] = field(default_factory=dict["Value", int])
    shapes: dict[Value, int] = field(default_factory=dict["Value", int])
    """Constants of which only the shape is kept."""
    packed: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])
    steps: list[Step] = field(default_factory=list[Step])
    absorbed: set[Node] = field(default_factory=set["Node"])

    def run(self) -> Program:
        inputs = tuple(self.number(value) for value in self.graph.inputs)
        captures = tuple(self.number(value) for value in self.graph.captures)
        defaults = {self.number(v): self.store.add_constant(c) for v, c in self.graph.defaults.items()}
        try:
            nodes = self.graph.sorted_nodes()
        except ValueError as error:
            raise CompileError(str(error)) from error
        choices = self._choices(nodes)
        for node in nodes:
            if node not in self.absorbed:
                self.steps.append(self._step(node, choices.get(node)))
        outputs = tuple(
            Output(name, self.number(value))
            for name, value in zip(self.graph.output_names, self.graph.outputs, strict=True)
        )
        self._declare_outputs()
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

    def _declare_outputs(self) -> None:
        """Show what is declared of an output where nothing was inferred: for the signature, no kernel rests on it.

        A loop that takes no turn also gives its scan outputs the declared shape.
        """
        for value, declared in zip(self.graph.outputs, self.graph.output_types, strict=True):
            shapeless = value.type is None or (isinstance(value.type, TensorType) and value.type.shape is None)
            if shapeless and self.graph.producer(value) is not None:
                number = self.numbers[value]
                self.values[number] = ValueInfo(value.name, declared or value.type, self.values[number].weight)

    def number(self, value: Value) -> int:
        """The number of a value; a constant's elements go to the weights block when it is first asked for."""
        found = self.numbers.get(value)
        if found is None:
            found = self.numbers[value] = len(self.values)
            weight = None if value.constant is None else self.store.add_constant(value.constant)
            self.values.append(ValueInfo(value.name, value.type, weight))
        return found

    def _shape_of(self, value: Value) -> int:
        """A number for a constant whose elements no step reads under this name."""
        if value in self.numbers:
            return self.numbers[value]
        found = self.shapes.get(value)
        if found is None:
            found = self.shapes[value] = len(self.values)
            self.values.append(ValueInfo(value.name, value.type, None))
        return found

    def _operand(self, operand: Operand | None) -> int | None:
        if operand is None:
            return None
        if operand.packed is None:
            assert operand.value is not None
            return self.number(operand.value)
        dtype = DType.of(operand.packed.dtype)
        weight = self.store.add_array(operand.packed, dtype)
        found = self.packed.get((weight, operand.name))
        if found is None:
            found = self.packed[weight, operand.name] = len(self.values)
            self.values.append(ValueInfo(operand.name, TensorType(dtype, operand.packed.shape), weight))
        return found

    def _choices(self, nodes: Sequence[Node]) -> dict[Node, Choice]:
        """The kernels, chosen from the first operator to the last: what one absorbs, no other gets."""
        choices: dict[Node, Choice] = {}
        if not self.native:
            return choices
        for node in nodes:
            if node in self.absorbed or self._is_alias(node) or shape_rule_of(node.op, node.domain) is None:
                continue  # without a shape rule a kernel's output has no place before it runs
            choice = choose(self._site(node))
            if choice is not None:
                choices[node] = choice
                self.absorbed.update(choice.absorbed)
        return self._late(nodes, choices)

    def _late(self, nodes: Sequence[Node], choices: dict[Node, Choice]) -> dict[Node, Choice]:
        """A kernel that absorbs a later operator stands where that one stood: other operands are there by then."""
        moved: dict[Node, Choice] = {}
        for node in nodes:
            choice = choices.get(node)
            if choice is None:
                continue
            if choice.absorbed:
                last = choice.absorbed[-1]
                self.absorbed.discard(last)
                self.absorbed.add(node)
                self._head[last] = node
                moved[last] = choice
            else:
                moved[node] = choice
        return moved

    _head: dict[Node, Node] = field(default_factory=dict["Node", "Node"])
    """The last operator of a fused group → its first."""

    def _site(self, node: Node) -> Site:
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = self.opsets.get(domain, self.opsets.get("ai.onnx", 1) if not domain else 1)
        attributes = {k: a for k, a in node.attributes.items() if not isinstance(a.value, Graph)}
        return Site(
            self.graph,
            node,
            version,
            plain_attributes(attributes),
            self.graph.inputs_of(node),
            self.graph.outputs_of(node),
            self.target,
            self.absorbed,
        )

    def _step(self, last: Node, choice: Choice | None) -> Step:
        """The step of an operator, or of a fused group that ends with it."""
        node = self._head.get(last, last)
        site = self._site(node)
        domain = "" if node.domain == "ai.onnx" else node.domain
        outputs = tuple(None if v is None else self.number(v) for v in self.graph.outputs_of(last))
        name = node.name or ", ".join(node.source)
        if choice is not None:
            kernel = KernelCall(
                choice.family, choice.specs, choice.attributes, tuple(self._operand(o) for o in choice.inputs)
            )
            read = {operand.value for operand in choice.inputs if operand is not None}
            inputs = tuple(
                None if v is None else self.number(v) if v.constant is None or v in read else self._shape_of(v)
                for v in site.inputs
            )
            absorbed = tuple(member.op for member in choice.absorbed)
            attributes = {**site.attributes, **choice.facts}
            return Step(StepKind.KERNEL, node.op, domain, attributes, inputs, outputs, name, kernel, (), absorbed)
        subgraphs = {name: a.value for name, a in node.attributes.items() if isinstance(a.value, Graph)}
        kind = StepKind.CONTROL if subgraphs else StepKind.ALIAS if self._is_alias(node) else StepKind.MEANING
        inputs = tuple(None if v is None else self.number(v) for v in site.inputs)
        nested = tuple(self._subprogram(node, name, graph) for name, graph in sorted(subgraphs.items()))
        return Step(kind, node.op, domain, site.attributes, inputs, outputs, name, None, nested)

    def _is_alias(self, node: Node) -> bool:
        inputs = self.graph.inputs_of(node)
        if node.op not in ALIASES or node.domain not in ("", "ai.onnx") or not inputs or inputs[0] is None:
            return False
        given = inputs[0].type
        return isinstance(given, TensorType) and given.dtype is not None

    def _subprogram(self, node: Node, name: str, graph: Any) -> Subprogram:
        opsets = {**self.opsets, **graph.opsets}
        program = _Lowering(graph, self.store, self.target, opsets, self.native).run()
        outside = self.graph.captures_of(node)
        return Subprogram(name, program, tuple(self.number(outside[value.name]) for value in graph.captures))
