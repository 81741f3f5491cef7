"""`graphopt optimize` on the classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tests.cli.command import DIGITS, graphopt

IMAGES = DIGITS.with_name("test.npz")


def logits(model: Path) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options)
    images = np.load(IMAGES)["image"][:, None].astype(np.float32) / 16
    return np.asarray(session.run(None, {"image": images})[0])


@pytest.mark.parametrize("level", ["exact", "reassociate", "approximate"])
def test_the_optimised_classifier_computes_the_same_with_less(level: str, tmp_path: Path) -> None:
    data = graphopt("optimize", DIGITS, "-o", tmp_path / "o.onnx", "--level", level, "--json").data
    assert data["nodes_after"] < data["nodes_before"] == 30
    assert data["level"] == level
    onnx.checker.check_model(tmp_path / "o.onnx", full_check=True)
    before, after = logits(DIGITS), logits(tmp_path / "o.onnx")
    if level == "exact":
        np.testing.assert_array_equal(after, before)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5 * np.abs(before).max())
    assert [path.name for path in tmp_path.iterdir()] == ["o.onnx"]


def test_the_tables_tell_the_rewrites(tmp_path: Path) -> None:
    done = graphopt("optimize", DIGITS, "-o", tmp_path / "o.onnx")
    assert done.err == ""
    assert "Rewrites" in done.out
    assert "fuse-conv-batchnorm" in done.out


def test_a_pass_that_is_left_out_does_not_run(tmp_path: Path) -> None:
    data = graphopt("optimize", DIGITS, "-o", tmp_path / "o.onnx", "--skip", "fuse-conv-batchnorm", "--json").data
    assert "fuse-conv-batchnorm" not in {row["name"] for row in data["passes"]}
    operators = {n.op_type for n in onnx.load(tmp_path / "o.onnx").graph.node}
    assert "BatchNormalization" in operators


def test_an_output_may_take_the_place_of_its_source(tmp_path: Path) -> None:
    copy = tmp_path / "m.onnx"
    copy.write_bytes(DIGITS.read_bytes())
    assert graphopt("optimize", copy, "-o", copy).code == 0
    assert graphopt("optimize", copy, "-o", copy, "--json").data["nodes_before"] < 30


def test_the_source_map_leads_back_to_the_nodes_that_were_fused(tmp_path: Path) -> None:
    graphopt("optimize", DIGITS, "-o", tmp_path / "o.onnx")
    rows = graphopt("diff", DIGITS, tmp_path / "o.onnx", "--json").data["nodes"]
    norms = [row for row in rows if row["operator"] == "BatchNormalization"]
    assert [row["change"] for row in norms] == ["gone"] * 3
    assert all("Conv" in row["counterpart"] for row in norms)
