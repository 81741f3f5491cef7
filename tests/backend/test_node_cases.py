"""onnx's node cases through the compiler: all of them without kernels, and a sample by native code.

`GRAPHOPT_NODE_CASES=all pytest tests/backend` runs all of them by native code too, which makes a thousand kernels;
`GRAPHOPT_NODE_CASES=500` takes a larger sample, and `GRAPHOPT_NODE_CASES_SEED` another one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

import pytest

from graphopt.errors import GraphoptError
from tests.backend.compiled_backend import CompiledBackend, UncompiledBackend, as_input
from tests.ops.cases import NodeCase, node_cases
from tests.ops.test_onnx_node_cases import DISAGREEMENTS, unequal

COUNT = os.environ.get("GRAPHOPT_NODE_CASES", "40")
SEED = int(os.environ.get("GRAPHOPT_NODE_CASES_SEED", "0"))
LEAST = 1872


@pytest.fixture(scope="module")
def cases() -> list[NodeCase]:
    return node_cases()


def test_every_node_case_runs_as_a_compiled_program(cases: list[NodeCase]) -> None:
    """But for those whose expectation we do not share, each of which still disagrees."""
    wrong = differences(cases, UncompiledBackend)
    assert wrong.keys() == DISAGREEMENTS.keys(), {k: v for k, v in wrong.items() if k not in DISAGREEMENTS}
    assert len(cases) - len(wrong) >= LEAST


def test_node_cases_run_by_native_code(cases: list[NodeCase]) -> None:
    shuffled = random.Random(SEED).sample(cases, len(cases))
    taken = shuffled if COUNT == "all" else shuffled[: int(COUNT)]
    wrong = differences(taken, CompiledBackend)
    assert wrong.keys() <= DISAGREEMENTS.keys(), {k: v for k, v in wrong.items() if k not in DISAGREEMENTS}


def differences(cases: Sequence[NodeCase], backend: type[CompiledBackend]) -> dict[str, str]:
    """What is wrong, by the name of the case."""
    found = {case.name: difference(case, backend) for case in cases}
    return {name: problem for name, problem in found.items() if problem}


def difference(case: NodeCase, backend: type[CompiledBackend]) -> str:
    try:
        rep = backend.prepare(case.model)
        for inputs, expected in case.data_sets:
            for want, have in zip(expected, rep.run(inputs), strict=True):
                if problem := unequal(as_input(want), have, case):
                    return problem
    except GraphoptError as error:
        return f"{type(error).__name__}: {error}"
    return ""
