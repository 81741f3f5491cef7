"""Every test of the executor runs twice: by meanings alone, and by kernels."""

from collections.abc import Callable

import pytest

from graphopt.ir import Graph
from graphopt.runtime import Compiled
from tests.runtime.models import compiled_of


@pytest.fixture(scope="module", params=[False, True], ids=["meanings", "native"])
def build(request: pytest.FixtureRequest) -> Callable[[Graph], Compiled]:
    """Makes a graph ready to run."""
    return lambda graph: compiled_of(graph, native=request.param)
