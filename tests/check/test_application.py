"""The watcher that checks each application of a rule before it happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from graphopt.check import ApplicationCheck
from graphopt.ir import Node
from graphopt.passes.pipeline import optimization_passes
from graphopt.rewrite import Declined, Exactness, Rule, RulePass, operators, run_passes
from graphopt.rewrite.rewriter import Rewriter
from graphopt.testing.rewrites import parse


@dataclass(frozen=True)
class DropRelu(Rule):
    """Relu(x) → x, which holds for what is not negative alone."""

    name = "drop-relu"
    exactness = Exactness.EXACT
    ops = operators("Relu")

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        x, y = rewriter.graph.inputs_of(node)[0], rewriter.graph.outputs_of(node)[0]
        assert x is not None
        assert y is not None
        rewriter.replace(y, x)
        return None


@dataclass(frozen=True)
class DropEveryRelu(RulePass):
    """A pass that is wrong."""

    name = "drop-every-relu"

    def rules(self) -> Sequence[Rule]:
        return [DropRelu()]


def test_a_wrong_application_is_refused_and_a_right_one_is_not() -> None:
    check = ApplicationCheck()
    wrong = parse("(float[N] x) => (float[N] y) { a = Tanh(x) y = Relu(a) }")
    right = parse("(float[N] x) => (float[N] y) { a = Softmax<axis = 0>(x) y = Relu(a) }")
    refused = run_passes(wrong, [DropEveryRelu()], watcher=check)
    assert [entry.rule for entry in refused.refused] == ["drop-relu"]
    assert not refused.applied
    admitted = run_passes(right, [DropEveryRelu()], watcher=check)
    assert [entry.rule for entry in admitted.applied] == ["drop-relu"]
    assert [entry.passed for entry in check.checked] == [False, True]


@pytest.mark.parametrize(
    "text",
    [
        "(float[N] x) => (float[N] y) { a = Transpose<perm = [0]>(x) b = Relu(a) y = Relu(b) }",
        "(float[N, 3] x) => (int64[1] y) <int64[1] i = {1}> { s = Shape(x) y = Gather(s, i) }",
        "(float[N] x) => (float[N] y) { a = Exp(x) b = Exp(x) y = Add(a, b) }",
        "(float[N, 4] x, float[4, 2] w, float[2] c) => (float[N, 2] y) { p = MatMul(x, w) y = Add(p, c) }",
        "(float[N, 2] x) => (float[2, N] y) { a = Transpose<perm = [1, 0]>(x) b = Transpose<perm = [1, 0]>(a)"
        " y = Transpose<perm = [1, 0]>(b) }",
    ],
)
def test_the_rules_of_the_pipeline_pass_their_own_check(text: str) -> None:
    check = ApplicationCheck()
    report = run_passes(parse(text), optimization_passes(), watcher=check)
    assert report.applied
    assert not report.refused
    assert any(entry.passed for entry in check.checked)
