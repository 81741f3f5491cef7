"""The kernels' benchmark measures what it says it measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cases import CASES, Case, convolution, product
from bench.kernels import cells, measure
from bench.roofline import Roof, plot
from graphopt_kernels.targets import host_targets

pytestmark = pytest.mark.skipif(not host_targets(), reason="no target for this machine")


@pytest.mark.parametrize("case", [product(8, 40, 16), convolution((1, 4, 8, 8), (8, 4, 3, 3))], ids=lambda c: c.name)
def test_what_is_timed_agrees_with_onnx_runtime(case: Case) -> None:
    pytest.importorskip("onnxruntime")
    row = measure(case, host_targets()[0], 1, 0.01)
    assert row["error"] < 1e-6
    assert row["ours"]["runs"] == row["onnxruntime"]["runs"] >= 5
    assert row["ours"]["ratio"] == 1.0


def test_every_case_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_case_without_a_kernel_says_so() -> None:
    roof = Roof("x", 100.0, 50.0, 10.0)
    assert cells({"name": "Poetry", "ours": None}, roof)[:2] == ["Poetry", "no kernel"]


def test_the_picture_is_the_same_bytes_for_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        plot(tmp_path / name, [Roof("x", 100.0, 50.0, 10.0)], [("MatMul", 10.0, 90.0), ("Conv", 5.0, 50.0)], "machine")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
