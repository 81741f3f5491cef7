"""fuse-elementwise: a tree of elementwise operators becomes one operator, and one loop over memory.

A lowering pass: `ai.graphopt::Elementwise` holds the operators as a graph in its attribute `body`, whose inputs are
scalars as it were: each operator of the body is applied element by element, to operands broadcast to the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.ir import Constant, Dense, DType, Graph, Node, TensorType, Value
from graphopt.ops.call import plain_attributes
from graphopt.ops.facts import facts_of
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import tensor_type, uniform
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule
from graphopt.rewrite.run import Pass
from graphopt_kernels.chain import step_of

DOMAIN = "ai.graphopt"
OP = "Elementwise"


@dataclass(frozen=True, slots=True)
class FuseTree(Rule):
    """g(f(a, b), c) → Elementwise(a, b, c) {g(f(a, b), c)}, for every operator of which g alone needs the result.

    f joins g where f's result has g's shape, provably, and nobody outside uses it: nothing is computed twice, and only
    one result leaves.  Not f of a smaller shape, which broadcasting would compute again for every element; not beyond
    the most operands and operators that one loop is good for; not operators or dtypes that the kernels' language
    (`graphopt_kernels.chain`) does not have.
    """

    most_operands: int
    most_operators: int
    taken: set[Node]
    name: ClassVar[str] = "fuse-elementwise"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def __hash__(self) -> int:
        return id(self)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        if node in self.taken or not is_fusible(node, rewriter):
            return None
        tree = self._grow(node, rewriter)
        if len(tree) == 1:
            return None
        (output,) = rewriter.graph.outputs_of(node)
        if output is None:
            return None
        self.taken.update(tree)
        ordered = tree[::-1]  # users were found first
        body, operands = body_of(ordered, output, rewriter)
        (fused,) = rewriter.node(OP, operands, like=node, attributes={"body": body}, domain=DOMAIN, types=[output.type])
        rewriter.replace(output, fused)
        return None

    def _grow(self, root: Node, rewriter: Rewriter) -> list[Node]:
        """The tree below the root, each node after all its users."""
        graph = rewriter.graph
        queue = _variable(root, rewriter)  # a list: the order of a set of values is not that of the next process
        tree, operands = [root], set(queue)
        shape = _shape(graph.outputs_of(root)[0])
        left: dict[Value, int] = {}
        for value in queue:
            producer = graph.producer(value)
            users = graph.users_of(value)
            left[value] = left.get(value, len(users)) - 1
            if producer is None or left[value] or producer in self.taken or len(tree) >= self.most_operators:
                continue
            if (
                any(user is graph.sink for user in users)
                or _shape(value) != shape
                or not is_fusible(producer, rewriter)
            ):
                continue
            inner = _variable(producer, rewriter)
            if len((operands | set(inner)) - {value}) > self.most_operands:
                continue
            operands = (operands | set(inner)) - {value}
            tree.append(producer)
            queue += inner
        return tree


@dataclass(frozen=True, slots=True)
class FuseElementwise(Pass):
    """Fuses trees of elementwise operators, from their results back to their operands."""

    most_operands: int = 12
    most_operators: int = 48
    name: ClassVar[str] = "fuse-elementwise"

    def run(self, rewriter: Rewriter, level: Exactness) -> None:
        rule = FuseTree(self.most_operands, self.most_operators, set())
        for node in reversed(rewriter.graph.sorted_nodes()):
            if node in rewriter.graph.net:
                rewriter.attempt(rule, node)


def is_fusible(node: Node, rewriter: Rewriter) -> bool:
    """Whether the node is elementwise, of known types and shape, and of the kernels' language."""
    facts = facts_of(node.op, node.domain)
    if node.domain not in ("", "ai.onnx") or facts is None or not facts.elementwise or facts.control_flow:
        return False
    graph = rewriter.graph
    outputs = graph.outputs_of(node)
    made = tensor_type(outputs[0]) if len(outputs) == 1 else None
    if made is None or made.shape is None or made.dtype is None:
        return False
    if node.op == "PRelu" and rewriter.version() < 9:
        return False  # its slope broadcast along channels then
    operands = graph.inputs_of(node)
    types = [tensor_type(value) for value in operands]
    if any(
        value is not None and (type is None or type.dtype is None) for value, type in zip(operands, types, strict=True)
    ):
        return False
    names = ["" if type is None or type.dtype is None else type.dtype.numpy.name for type in types]
    attributes = plain_attributes(node.attributes)
    if "to" in attributes:
        attributes["to"] = DType(attributes["to"]).numpy.name
    step = step_of(node.op, list(range(len(operands))), names, attributes)
    return step is not None and step.dtype == made.dtype.numpy.name


def body_of(nodes: Sequence[Node], result: Value, rewriter: Rewriter) -> tuple[Graph, list[Value]]:
    """A graph that holds copies of the nodes (producers first) and gives the result, and the operands of its inputs.

    Constants of one repeated element that widen nothing stand in the body; all other operands are inputs.
    """
    graph = rewriter.graph
    body = Graph(f"{result.name}_body", rewriter.opsets)
    new: dict[Value, Value] = {}
    operands: list[Value] = []

    def given(value: Value | None) -> Value | None:
        if value is None or value in new:
            return None if value is None else new[value]
        scalar = _scalar(value, rewriter)
        if scalar is not None:
            new[value] = body.add_constant(scalar, value.name)
        else:
            type = tensor_type(value)
            new[value] = body.add_input(value.name, None if type is None else TensorType(type.dtype))
            operands.append(value)
        return new[value]

    for node in nodes:
        (output,) = graph.outputs_of(node)
        assert output is not None
        inputs = [given(value) for value in graph.inputs_of(node)]
        type = tensor_type(output)
        (made,) = body.add_node(
            node.op,
            inputs,
            [output.name],
            node.attributes,
            name=node.name,
            types=[None if type is None else TensorType(type.dtype)],
            source=node.source,
            rules=node.rules,
        )
        new[output] = made
    body.add_output(new[result])
    return body, operands


def _variable(node: Node, rewriter: Rewriter) -> list[Value]:
    """The operands that are not scalars of the code, each once."""
    operands = dict.fromkeys(value for value in rewriter.graph.inputs_of(node) if value is not None)
    return [value for value in operands if _scalar(value, rewriter) is None]


def _scalar(value: Value, rewriter: Rewriter) -> Constant | None:
    constant = rewriter.constant_of(value)
    if constant is None or any(dim != 1 for dim in constant.shape):
        return None
    element = uniform(constant)
    return None if element is None else Dense.of(np.asarray(element).reshape(()), constant.dtype)


def _shape(value: Value | None) -> object:
    type = tensor_type(value)
    return None if type is None else type.shape
