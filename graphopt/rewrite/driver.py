"""The worklist: tries rules at nodes until none applies, looking again only where something changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from graphopt.errors import RewriteError
from graphopt.ir import Node
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Rule

LIMIT_PER_NODE = 16
"""Applications allowed for each node at the start: rules that end need a few, rules that loop need any number."""


def drive(rewriter: Rewriter, rules: Sequence[Rule]) -> None:
    """Apply the rules, tried in the order given, until none applies anywhere in the graph.

    Nodes are visited producers first; after an application its neighbourhood is visited again, so the time is
    proportional to the nodes and the applications.  RewriteError when the applications do not come to an end.
    """
    everywhere = [rule for rule in rules if rule.ops is None]
    by_op: dict[str, list[Rule]] = {}
    for op in dict.fromkeys(op for rule in rules for op in rule.ops or ()):
        by_op[op] = [rule for rule in rules if rule.ops is None or op in rule.ops]
    graph = rewriter.graph
    if not everywhere and not any(node.qualified_op in by_op for node in graph.nodes()):
        return  # sorting costs more than looking
    queue: deque[Node] = deque(node for node in graph.sorted_nodes() if everywhere or node.qualified_op in by_op)
    waiting = set(queue)
    limit = LIMIT_PER_NODE * (len(graph) + LIMIT_PER_NODE)
    while queue:
        node = queue.popleft()
        waiting.discard(node)
        for rule in by_op.get(node.qualified_op, everywhere):
            if node not in graph.net:
                break
            again = rewriter.attempt(rule, node)
            if again is None:
                continue
            limit -= 1
            if limit < 0:
                raise RewriteError(rule.name, graph.name, "its applications do not come to an end")
            fresh = [item for item in (*again, node) if item not in waiting and item in graph.net]
            queue.extend(fresh)
            waiting.update(fresh)
