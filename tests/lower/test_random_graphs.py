"""Random graphs through the program and its executor, and through the whole compiler, against the reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphopt.compiler
from graphopt.frontend import write_onnx
from graphopt.ir import Graph
from graphopt.rewrite.exactness import Exactness
from graphopt.runtime import Compiled
from graphopt.testing import assert_same_meaning, feeds_for, graphs
from graphopt_kernels.targets import host_targets
from tests.runtime.models import compiled_of

UNHURRIED = [HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.data_too_large]


def called_twice(compiled: Compiled, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """The second call's outputs: by then the plan is known and the memory is used."""
    compiled(feeds)
    return compiled(feeds)


@settings(max_examples=60, suppress_health_check=UNHURRIED)
@given(graphs(), st.data())
def test_a_program_of_meanings_is_the_reference_bit_for_bit(graph: Graph, data: st.DataObject) -> None:
    compiled = compiled_of(graph.copy(), native=False)
    feeds = data.draw(feeds_for(graph))
    assert_same_meaning(graph, lambda fed: called_twice(compiled, fed), Exactness.EXACT, feeds)


@settings(max_examples=15, suppress_health_check=UNHURRIED)
@given(graphs(max_steps=5), st.data())
def test_the_whole_compiler_keeps_the_meaning(graph: Graph, data: st.DataObject) -> None:
    compiled = graphopt.compiler.compile(write_onnx(graph), targets=host_targets()[:1], check=False)
    for special in (False, True):
        feeds = data.draw(feeds_for(graph, special=special))
        assert_same_meaning(graph, lambda fed: called_twice(compiled, fed), Exactness.REASSOCIATE, feeds)
