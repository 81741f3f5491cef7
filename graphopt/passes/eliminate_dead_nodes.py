"""eliminate-dead-nodes: nobody uses it, so it need not be computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphopt.ir import Node
from graphopt.ops.facts import facts_of
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.rewriter import Rewriter, is_unused
from graphopt.rewrite.rule import Declined, Rule
from graphopt.rewrite.run import Pass


@dataclass(frozen=True, slots=True)
class DropUnusedNode(Rule):
    """A node none of whose outputs is used → nothing.

    Random operators go too: no draw of one changes what another draws.  An operator that is not known stays, because
    it may do more than compute its outputs.
    """

    name: ClassVar[str] = "eliminate-dead-nodes"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        if not is_unused(rewriter.graph, node):
            return None
        if facts_of(node.op, node.domain) is None:
            return Declined(f"{node.qualified_op} is not known: it may do more than compute its outputs")
        rewriter.erase(node)
        return None


@dataclass(frozen=True, slots=True)
class EliminateDeadNodes(Pass):
    """Removes unused nodes, then unused constants and unused captures of subgraphs.

    Kept: the inputs, even unused, and overridable initializers: they are interface.  Kept: operators of unknown
    domains.  A node is kept whole when one of its outputs is used.
    """

    name: ClassVar[str] = "eliminate-dead-nodes"
    inside_out: ClassVar[bool] = True  # what a subgraph no longer captures may be dead outside

    def run(self, rewriter: Rewriter, level: Exactness) -> None:
        rule = DropUnusedNode()
        rewriter.sweep(rule)  # a stale capture is a use
        for node in reversed(list(rewriter.graph.nodes())):
            if node in rewriter.graph.net and is_unused(rewriter.graph, node):
                rewriter.attempt(rule, node)
        rewriter.sweep(rule)
