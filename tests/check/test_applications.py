"""Applications are checked one by one: a wrong one is refused and named, right ones pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.check import CheckApplications
from graphopt.compiler import optimize_graph, prepare_for_lowering
from graphopt.ir import Node
from graphopt.rewrite import Declined, Exactness, Rewriter, Rule, RulePass, run_passes, show
from graphopt.testing.rewrites import parse


@dataclass(frozen=True)
class AddOfZeroIsNothing(Rule):
    """Add(x, 0) → x: wrong, for −0 + 0 is +0."""

    name: ClassVar[str] = "add-of-zero"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"Add"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        (output,), (operand, _) = rewriter.graph.outputs_of(node), rewriter.graph.inputs_of(node)
        assert output is not None
        assert operand is not None
        rewriter.replace(output, operand)
        return None


@dataclass(frozen=True)
class Wrong(RulePass):
    """A pass of one wrong rule."""

    name: ClassVar[str] = "wrong"

    def rules(self) -> tuple[Rule, ...]:
        return (AddOfZeroIsNothing(),)


def test_a_wrong_rewrite_is_rolled_back_and_named() -> None:
    graph = parse("(float[N] x) => (y) <float zero = {0}> { a = Neg(x) [sum] b = Add(a, zero) y = Reciprocal(b) }")
    before = show(graph)
    watcher = CheckApplications()
    report = run_passes(graph, [Wrong()], watcher=watcher)
    assert show(graph) == before
    assert watcher.checked == 1
    ((rule, node, reason),) = [(entry.rule, entry.node, entry.reason) for entry in report.refused]
    assert (rule, node) == ("add-of-zero", "sum")
    assert "differ" in reason


def test_every_right_rewrite_passes() -> None:
    random = np.random.default_rng(1)
    tensors = {name: random.random(4).astype(np.float32) + 0.5 for name in "sbmv"}
    tensors |= {"w": random.standard_normal((4, 4, 1, 1)).astype(np.float32)}
    graph = parse(
        """(float[N,4,3,3] x) => (y, z) <float two = {2}, float three = {3}> {
             i = Identity(x) c = Conv(i, w) d = BatchNormalization(c, s, b, m, v) e = Relu(d) f = Relu(e)
             k = Mul(two, three) g = Mul(k, f) h = Mul(f, k) y = Sub(g, h)
             t = Transpose<perm=[1,0,2,3]>(f) z = Transpose<perm=[1,0,2,3]>(t) }""",
        tensors,
    )
    watcher = CheckApplications(trials=2)
    optimised = optimize_graph(graph, watcher=watcher)
    lowered = prepare_for_lowering(graph, watcher=watcher)
    assert not optimised.refused
    assert not lowered.refused
    assert watcher.unchecked == 0
    assert watcher.checked == len([entry for entry in (*optimised.applied, *lowered.applied) if entry.node])
