"""Random graphs through every pass and both pipelines: the meaning stays, at the level that was asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from graphopt.compiler import optimize_graph, prepare_for_lowering
from graphopt.infer import infer_types
from graphopt.ir import Graph
from graphopt.passes import lowering_passes, optimization_passes
from graphopt.rewrite import Exactness, Pass, run_passes
from graphopt.testing import assert_same_meaning, feeds_for, graphs

PASSES = list({step.name: step for step in (*optimization_passes(), *lowering_passes())}.values())


@given(step=st.sampled_from(PASSES), graph=graphs(), data=st.data())
def test_a_pass_keeps_the_meaning_and_is_idempotent(step: Pass, graph: Graph, data: st.DataObject) -> None:
    before = graph.copy()
    infer_types(graph)
    report = run_passes(graph, [step])
    level = max((entry.exactness for entry in report.applied), default=Exactness.EXACT)
    assert_same_meaning(before, graph, level, data.draw(feeds_for(before)))
    assert not run_passes(graph, [step]).applied


@given(graph=graphs(), data=st.data())
def test_the_pipelines_keep_the_meaning(graph: Graph, data: st.DataObject) -> None:
    before = graph.copy()
    optimize_graph(graph)
    feeds = data.draw(feeds_for(before))
    assert_same_meaning(before, graph, Exactness.REASSOCIATE, feeds)
    prepare_for_lowering(graph)
    assert_same_meaning(before, graph, Exactness.REASSOCIATE, feeds)


@given(graph=graphs(), data=st.data())
def test_the_exact_pipeline_keeps_every_bit(graph: Graph, data: st.DataObject) -> None:
    before = graph.copy()
    optimize_graph(graph, level="exact")
    prepare_for_lowering(graph, level="exact")
    assert_same_meaning(before, graph, Exactness.EXACT, data.draw(feeds_for(before)))
