"""What is known of the elements of small tensors, symbols included: `[N, 64]` for the shape of x[N, 64]."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from graphopt.errors import ModelError
from graphopt.infer.elements import constant_elements, known_elements
from graphopt.ir import Node, Value
from graphopt.ops.call import plain_attributes
from graphopt.ops.table import Inference
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import operators


class KnownElements:
    """Remembers, for one run over one graph, the elements of values computed from shapes.

    Operators are asked from producers to users, so each looks only at what its operands were found to be.
    """

    ops: ClassVar[frozenset[str]] = operators(
        "Shape Size Gather Slice Concat Squeeze Unsqueeze Cast Add Sub Mul Div Mod Max Min Equal Where Reshape"
        " ReduceProd Split Range Expand ConstantOfShape Less Greater LessOrEqual GreaterOrEqual Not And Or"
        " Neg Abs Sum ReduceSum ReduceMax ReduceMin Transpose Flatten Tile GatherElements GatherND ScatterND Identity"
    )

    def __init__(self) -> None:
        self._known: dict[Value, np.ndarray] = {}

    def of(self, value: Value | None, rewriter: Rewriter) -> np.ndarray | None:
        """The elements of a value: numbers or `Dim`s; None when they are not known, or too many to be a shape."""
        constant = rewriter.constant_of(value)
        if value is None or constant is None:
            return None if value is None else self._known.get(value)
        return constant_elements(constant)

    def of_outputs(self, node: Node, rewriter: Rewriter) -> list[tuple[Value, np.ndarray]]:
        """The outputs of a node with their elements, where these are known; remembered."""
        inputs, outputs = rewriter.graph.inputs_of(node), rewriter.graph.outputs_of(node)
        values = [self.of(value, rewriter) for value in inputs]
        if node.op not in ("Shape", "Size") and any(
            known is None and value is not None for known, value in zip(values, inputs, strict=True)
        ):
            return []
        call = Inference(
            node.op,
            node.domain,
            rewriter.version(node.domain),
            plain_attributes(node.attributes),
            tuple(None if value is None else value.type for value in inputs),
            tuple(values),
            len(outputs),
        )
        try:
            arrays = known_elements(call, [None if value is None else value.type for value in outputs])
        except ModelError:
            return []  # inference refuses it, unless it stands in a branch that is never taken
        found = [(v, a) for v, a in zip(outputs, arrays, strict=False) if v is not None and a is not None]
        self._known.update(found)
        return found
