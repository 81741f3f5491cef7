"""Our meanings against the expected outputs that ship with onnx, every case for which we have a meaning."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from graphopt.check import interpret
from graphopt.frontend import read_onnx
from graphopt.ops.call import as_text
from tests.ops.cases import NodeCase, as_input, node_cases, run_case

_CORNERS = (
    "the case divides by the fractional output width (0.6·4 − 1), the text by the length of the resized tensor; "
    "ONNX Runtime reads the text as we do and excludes the case"
)
_DRAWS = "ONNX fixes the distribution and not the draws; the case has those of numpy's legacy generator"
_SINGLE = "the case is computed in complex64: what should cancel to 0 is left at 2e-6"
DISAGREEMENTS = {
    "test_dft_inverse": _SINGLE,
    "test_dft_inverse_opset19": _SINGLE,
    "test_bernoulli": _DRAWS,
    "test_bernoulli_double": _DRAWS,
    "test_bernoulli_double_expanded": _DRAWS,
    "test_bernoulli_expanded": _DRAWS,
    "test_bernoulli_seed": _DRAWS,
    "test_bernoulli_seed_expanded": _DRAWS,
    "test_resize_downsample_scales_linear_align_corners": _CORNERS,
    "test_resize_downsample_scales_cubic_align_corners": _CORNERS,
}
"""Cases whose expectation we do not share, with the reason; each is checked to still disagree."""


@pytest.fixture(scope="module")
def cases() -> list[NodeCase]:
    return node_cases()


def test_each_onnx_case_of_our_operators_gives_the_expected_outputs(cases: list[NodeCase]) -> None:
    wrong = {case.name: found for case in cases if case.is_ours and (found := _difference(case))}
    assert wrong.keys() == DISAGREEMENTS.keys(), {k: v for k, v in wrong.items() if k not in DISAGREEMENTS}


def test_each_onnx_case_with_subgraphs_gives_the_expected_outputs(cases: list[NodeCase]) -> None:
    ran: list[str] = []
    for case in cases:
        if not case.has_graphs:
            continue
        graph = read_onnx(case.model)
        for inputs, expected in case.data_sets:
            names = [value.name for value in graph.inputs]
            got = interpret(graph, dict(zip(names, map(as_input, inputs), strict=True)))
            for want, have in zip(expected, got.values(), strict=True):
                assert not unequal(as_input(want), have, case), case.name
        ran.append(case.name)
    assert len(ran) > 20


def _difference(case: NodeCase) -> str:
    for inputs, expected in case.data_sets:
        try:
            got = run_case(case, inputs)
        except Exception as error:  # noqa: BLE001  # one failing case must not hide the others
            return f"{type(error).__name__}: {error}"
        for want, have in zip(expected, got, strict=True):
            found = unequal(as_input(want), have, case)
            if found:
                return found
    return ""


def unequal(want: Any, have: Any, case: NodeCase) -> str:
    """How an output is not the one expected, within what the case allows; "" where it is."""
    if isinstance(want, list):
        return next((f for w, h in zip(want, have, strict=True) if (f := unequal(w, h, case))), "")
    if want is None or have is None:
        return "" if want is have else f"{want} and {have}"
    if want.shape != have.shape:
        return f"shape {have.shape} for {want.shape}"
    if want.dtype == object:
        return "" if np.array_equal(want, as_text(have)) else f"{have} for {want}"
    if want.dtype != have.dtype:
        return f"dtype {have.dtype} for {want.dtype}"
    kind = np.complex128 if want.dtype.kind == "c" else np.float64
    # each node rounds once; the cases of composite operators round after each step of theirs, in short types too
    relative = max(case.relative, 4 * len(case.ops) * _unit(want.dtype))
    close = np.isclose(have.astype(kind), want.astype(kind), relative, case.absolute, equal_nan=True)
    return "" if close.all() else f"{int((~close).sum())} of {want.size} elements"


def _unit(dtype: np.dtype) -> float:
    """One unit in the last place: what two right results may differ by in a type this short."""
    return float(ml_dtypes.finfo(dtype).eps) if "float" in dtype.name else 0.0
