"""The engine: what an application changes, records and looks at again, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from graphopt.errors import RewriteError
from graphopt.ir import DType, Graph, Node, TensorType, Value
from graphopt.rewrite import (
    Application,
    Declined,
    Exactness,
    PassReport,
    Rewriter,
    Rule,
    RulePass,
    problem_of,
    run_passes,
    show,
)

FLOAT = TensorType(DType.FLOAT32, (4,))


def chain(*ops: str) -> Graph:
    graph = Graph("g", {"": 21})
    value = graph.add_input("x", FLOAT)
    for place, op in enumerate(ops):
        (value,) = graph.add_node(op, [value], [f"v{place}"], name=f"n{place}", types=[FLOAT], source=(f"n{place}",))
    graph.add_output(value, "y")
    return graph


@dataclass(frozen=True)
class Swap(Rule):
    """first(x) → second(x)."""

    first: str
    second: str
    name: ClassVar[str] = "swap"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        if node.op != self.first:
            return None
        (output,) = rewriter.graph.outputs_of(node)
        made = rewriter.node(self.second, rewriter.graph.inputs_of(node))
        assert output is not None
        rewriter.replace(output, made[0])
        return None


@dataclass(frozen=True)
class Collapse(Rule):
    """Relu(Relu(x)) → Relu(x), and a reason for everything else."""

    name: ClassVar[str] = "collapse"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        (operand,), (output,) = rewriter.graph.inputs_of(node), rewriter.graph.outputs_of(node)
        inner = rewriter.graph.producer(operand) if operand else None
        rewriter.node("Abs", [operand])  # what is built and not used must leave no trace
        if inner is None or inner.op != node.op or output is None or operand is None:
            return Declined("there is one of it")
        rewriter.replace(output, operand)
        return None


@dataclass(frozen=True)
class Of(RulePass):
    """A pass of the rules given."""

    given: tuple[Rule, ...]
    name: ClassVar[str] = "of"

    def rules(self) -> tuple[Rule, ...]:
        return self.given


def test_an_application_hands_on_where_a_node_comes_from() -> None:
    graph = chain("Relu", "Abs")
    report = run_passes(graph, [Of((Swap("Relu", "Sigmoid"), Swap("Sigmoid", "Tanh")))])
    tanh = next(graph.nodes(), None)
    node = next(node for node in graph.nodes() if node.op == "Tanh")
    assert tanh is not None
    assert (node.name, node.source, node.rules) == ("n0", ("n0",), ("swap",))
    assert graph.outputs_of(node)[0].name == "v0"  # type: ignore[union-attr]
    assert [(entry.node, entry.removed, entry.made) for entry in report.applied] == [("n0", ("n0",), ("n0",))] * 2


def test_metadata_and_documentation_survive() -> None:
    graph = chain("Relu")
    node = next(graph.nodes())
    node.metadata["layer"], node.doc = "7", "the seventh"
    run_passes(graph, [Of((Swap("Relu", "Tanh"),))])
    made = next(graph.nodes())
    assert (made.op, made.metadata, made.doc) == ("Tanh", {"layer": "7"}, "the seventh")


def test_a_rule_that_declines_leaves_no_trace_but_its_reason() -> None:
    graph = chain("Relu")
    before = show(graph)
    report = run_passes(graph, [Of((Collapse(),))])
    assert show(graph) == before
    assert [(entry.node, entry.reason) for entry in report.declined] == [("n0", "there is one of it")]


def test_a_value_nobody_uses_is_not_rewritten() -> None:
    graph = chain("Abs")
    graph.add_node("Relu", [graph.inputs[0]], name="dead", types=[FLOAT])
    report = run_passes(graph, [Of((Swap("Relu", "Tanh"),))])
    assert not report.applied
    assert problem_of(graph) is None
    assert {node.op for node in graph.nodes()} == {"Abs", "Relu"}


def test_the_neighbourhood_of_a_change_is_looked_at_again() -> None:
    graph = chain(*["Relu"] * 50, "Abs", "Abs")
    report = run_passes(graph, [Of((Collapse(),))])
    assert [node.op for node in graph.sorted_nodes()] == ["Relu", "Abs"]
    assert report.counts == {"collapse": 50}


def test_rules_that_undo_each_other_are_an_error() -> None:
    with pytest.raises(RewriteError, match="do not come to an end"):
        run_passes(chain("Relu"), [Of((Swap("Relu", "Tanh"), Swap("Tanh", "Relu")))])


def test_a_rule_above_the_level_is_not_tried() -> None:
    @dataclass(frozen=True)
    class Loose(Swap):
        exactness: ClassVar[Exactness] = Exactness.APPROXIMATE

    graph = chain("Relu")
    run_passes(graph, [Of((Loose("Relu", "Tanh"),))])
    assert next(graph.nodes()).op == "Relu"
    run_passes(graph, [Of((Loose("Relu", "Tanh"),))], level=Exactness.APPROXIMATE)
    assert next(graph.nodes()).op == "Tanh"


def test_a_refused_application_is_rolled_back_and_reported() -> None:
    class Refuse:
        def admit(self, application: Application) -> str | None:
            ((old, new),) = application.replaced
            assert application.graph.producer(old) is not application.graph.producer(new)
            return "the results differ"

    graph = chain("Relu", "Abs")
    before = show(graph)
    report = run_passes(graph, [Of((Swap("Relu", "Tanh"),))], watcher=Refuse())
    assert show(graph) == before
    assert not report.applied
    assert {(entry.node, entry.reason) for entry in report.refused} == {("n0", "the results differ")}


def test_a_pass_that_breaks_the_graph_is_named() -> None:
    @dataclass(frozen=True)
    class Knot(Rule):
        name: ClassVar[str] = "knot"
        exactness: ClassVar[Exactness] = Exactness.EXACT

        def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
            if node.op == "Relu" and any(other.op == "Abs" for other in rewriter.graph.nodes()):
                (operand,), (output,) = rewriter.graph.inputs_of(node), rewriter.graph.outputs_of(node)
                assert operand is not None
                assert output is not None
                rewriter.replace(operand, rewriter.node("Tanh", [output])[0])
            return None

    with pytest.raises(RewriteError, match=r"of left graph 'g' broken: .* is computed from its own result"):
        run_passes(chain("Abs", "Relu"), [Of((Knot(),))])


def test_a_graph_changes_only_inside_a_rule() -> None:
    rewriter = Rewriter(chain("Relu"), PassReport("p", 1))
    with pytest.raises(RuntimeError, match="inside a rule"):
        rewriter.node("Abs", [rewriter.graph.inputs[0]])


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda g, v: g.net.add_edge(v, next(g.nodes()), key=0), "filled twice"),
        (lambda g, v: g.net.add_edge(next(g.nodes()), g.inputs[0], key=1), "defines it too"),
        (lambda g, v: setattr(v, "name", "x"), "two values are named 'x'"),
        (lambda g, v: g.net.add_edge(v, g.inputs[0], key=0), "does not join a value and a node"),
        (lambda g, v: g.output_names.append("z"), "2 outputs are named and 1 are returned"),
        (lambda g, v: g.net.add_node(Value("lost")), "has 0 definitions"),
    ],
)
def test_the_verifier_names_what_is_wrong(damage: object, problem: str) -> None:
    graph = chain("Relu", "Abs")
    assert problem_of(graph) is None
    damage(graph, graph.outputs[0])  # type: ignore[operator]
    assert problem in (problem_of(graph) or "")


def test_a_report_is_plain_data() -> None:
    report = run_passes(chain("Relu", "Relu"), [Of((Collapse(),))])
    data = report.to_json(times=False)
    assert data["nodes_before"] == 2
    assert data["nodes_after"] == 1
    assert data["rules"] == {"collapse": 1}
    assert data["passes"][0]["applied"][0] == {
        "rule": "collapse",
        "exactness": "exact",
        "graph": "g",
        "node": "n1",
        "removed": ["n1"],
        "made": [],
    }
