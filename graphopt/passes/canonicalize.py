"""canonicalize: variants of one idea become one form, so that each rule is written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from graphopt.ir import Node
from graphopt.ops.facts import facts_of
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule, operators
from graphopt.rewrite.run import RulePass


@dataclass(frozen=True, slots=True)
class ConstantSecond(Rule):
    """f(c, x) → f(x, c), for a commutative f, a constant c and an x that is none."""

    name: ClassVar[str] = "constant-second"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = operators("Add And BitwiseAnd BitwiseOr BitwiseXor Equal Mul Or Xor")

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        operands, (output,) = graph.inputs_of(node), graph.outputs_of(node)
        facts = facts_of(node.op, node.domain)
        if facts is None or not facts.commutative or len(operands) != 2 or output is None:
            return None
        if rewriter.constant_of(operands[0]) is None or rewriter.constant_of(operands[1]) is not None:
            return None
        (swapped,) = rewriter.node(node.op, operands[::-1], attributes=node.attributes, types=[output.type])
        rewriter.replace(output, swapped)
        return None


@dataclass(frozen=True, slots=True)
class Canonicalize(RulePass):
    """Brings operators into one form; never into one that costs more."""

    name: ClassVar[str] = "canonicalize"
    after: ClassVar[tuple[str, ...]] = ("fold-constants",)

    def rules(self) -> Sequence[Rule]:
        return (ConstantSecond(),)
