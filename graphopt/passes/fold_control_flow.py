"""Control flow that is decided before the model runs; rules of fold-constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.ir import Constant, Dense, Graph, Node
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import tensor_type
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule


@dataclass(frozen=True, slots=True)
class InlineIf(Rule):
    """If(c, then, else) → then's nodes where the constant c is true, else else's."""

    name: ClassVar[str] = "inline-if"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"If"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        decided = _truth(rewriter.constant_of(graph.inputs_of(node)[0]))
        branch = node.get("then_branch" if decided else "else_branch")
        if decided is None or not isinstance(branch, Graph):
            return None
        given = rewriter.inline(branch, (), graph.captures_of(node))
        for old, new in zip(graph.outputs_of(node), given, strict=False):
            if old is not None:
                rewriter.replace(old, new)
        return None


@dataclass(frozen=True, slots=True)
class SkipLoop(Rule):
    """Loop(n, c, v…) → v… where n is a constant of at most 0, or c is constant false.

    Not where a scan output is used: what it is for no iteration needs a shape that only running would tell.
    """

    name: ClassVar[str] = "skip-loop"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"Loop"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        operands = graph.inputs_of(node)
        trips = rewriter.constant_of(operands[0]) if operands else None
        condition = rewriter.constant_of(operands[1]) if len(operands) > 1 else None
        never = (trips is not None and _number(trips) <= 0) or _truth(condition) is False
        if not never:
            return None
        carried = operands[2:]
        replaced = list(zip(graph.outputs_of(node), carried, strict=False))
        for value in graph.outputs_of(node)[len(carried) :]:
            if value is None or not graph.users_of(value):
                continue
            type = tensor_type(value)
            shape = None if type is None else type.static_shape
            if type is None or type.dtype is None or shape is None or shape[0] != 0:
                return Declined("the shape of its empty scan output is not known")
            empty = Dense.of(np.empty(shape, type.dtype.numpy), type.dtype)
            replaced.append((value, rewriter.constant(empty, value.name)))
        for old, new in replaced:
            if old is not None and new is not None:
                rewriter.replace(old, new)
        return None


def _truth(constant: Constant | None) -> bool | None:
    return None if constant is None or 0 in constant.shape else bool(constant.array().reshape(-1)[0])


def _number(constant: Constant) -> int:
    return int(constant.array().reshape(-1)[0])
