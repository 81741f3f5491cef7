"""Shapes that are known before the model runs; rules of fold-constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.ir import Dim, Node
from graphopt.passes.known_elements import KnownElements
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import dtype_of, tensor_type
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule


@dataclass(frozen=True, slots=True)
class FoldShape(Rule):
    """A chain of integer operators on shapes → a constant, where every element it comes to is a number.

    Through symbols: `Gather(Shape(x), 1)` is 64 for x of [N, 64], whatever N; `N·64 / 64 − N` is 0.
    """

    known: KnownElements
    name: ClassVar[str] = "fold-shape"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = KnownElements.ops

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        for output, known in self.known.of_outputs(node, rewriter):
            dtype = dtype_of(output)
            if dtype is not None and all(isinstance(item, (int, np.integer, np.bool_)) for item in known.flat):
                rewriter.replace(output, rewriter.constant(known.astype(dtype.numpy), output.name))
        return None


@dataclass(frozen=True, slots=True)
class FoldShapeOperand(Rule):
    """Reshape(x, s) → Reshape(x, constant), where s is computed from shapes and at most one dimension is left open.

    A dimension that is x's own at the same place is written 0 (copy it); one other symbol is written −1, which means
    the same because a Reshape that works keeps the number of elements.  Not both at once: beside a dimension that
    turns out to be 0, −1 means nothing.
    """

    known: KnownElements
    name: ClassVar[str] = "fold-shape-operand"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"Reshape"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        operands, (output,) = graph.inputs_of(node), graph.outputs_of(node)
        if len(operands) < 2 or operands[1] is None or output is None or node.get("allowzero", 0):
            return None
        if rewriter.constant_of(operands[1]) is not None:
            return None
        wanted, source = self.known.of(operands[1], rewriter), tensor_type(operands[0])
        if wanted is None or wanted.ndim != 1:
            return None
        shape = None if source is None else source.shape
        target = reshape_operand(list(wanted), shape)
        if target is None:
            return Declined(f"more than one dimension of {[str(dim) for dim in wanted]} is open")
        operand = rewriter.constant(np.array(target, np.int64), f"{output.name}_shape")
        (made,) = rewriter.node("Reshape", [operands[0], operand], attributes=node.attributes, types=[output.type])
        rewriter.replace(output, made)
        return None


def reshape_operand(wanted: list[Dim], source: tuple[Dim, ...] | None) -> list[int] | None:
    """The elements of a constant shape for Reshape that stands for the dimensions wanted; None where there is none."""
    target: list[int] = []
    opened = 0
    for axis, dim in enumerate(wanted):
        if isinstance(dim, (int, np.integer)):
            target.append(int(dim))
        elif source is not None and axis < len(source) and source[axis] == dim:
            target.append(0)
        else:
            target.append(-1)
            opened += 1
    clear = target.count(-1) <= 1 and not (opened and 0 in target)
    return target if clear else None
