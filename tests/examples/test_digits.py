"""The shipped example does the whole job, and says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"


def run(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """The example as the README calls it, from another folder."""
    paths = os.pathsep.join(str(ROOT / folder) for folder in (".", "kernels", "governance"))
    environment = os.environ | {"PYTHONPATH": paths, "GRAPHOPT_HOME": str(home)}
    command = [sys.executable, str(DIGITS / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=home, check=False)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = run("--json", home=tmp_path_factory.mktemp("home"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_classifier_is_as_right_after_as_before(told: dict[str, Any]) -> None:
    assert told["images"] == 540
    assert told["accuracy_before"] == told["accuracy_after"] >= 0.97


def test_the_bundle_agrees_with_the_reference(told: dict[str, Any]) -> None:
    assert 0.0 <= told["checked_difference"] < 1e-5
    assert 0.0 <= told["image_difference"] < 1e-5


def test_nodes_were_fused_and_calls_are_native(told: dict[str, Any]) -> None:
    assert told["nodes_after"] < told["nodes_before"] / 2
    assert {"name": "fuse-conv-affine", "count": 3} in told["rewrites"]
    assert told["native_calls"] >= 0.8 * told["calls"]
    assert {row["operator"] for row in told["not_native"]}.isdisjoint({"Conv", "Gemm", "MaxPool"})


def test_it_is_anchored_and_measured(told: dict[str, Any]) -> None:
    assert len(told["digest"]) == 64
    assert told["block"] > 0
    assert {row["engine"] for row in told["latency"]} == {"graphopt", "onnxruntime"}


def test_what_is_committed_is_small_and_what_the_exporter_made() -> None:
    assert (DIGITS / "digits.onnx").stat().st_size < 500_000
    model = onnx.load(DIGITS / "digits.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert model.producer_name == "pytorch"
    assert sum(node.op_type == "BatchNormalization" for node in model.graph.node) == 3
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    with np.load(DIGITS / "test.npz") as images:
        assert images["image"].shape == (540, 8, 8)
        assert images["image"].max() == 16


def test_the_picture_in_the_readme_is_drawn_from_what_was_told(told: dict[str, Any]) -> None:
    command = [sys.executable, str(DIGITS / "draw.py")]
    drawn = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=True).stdout
    words = [element.text for element in ElementTree.fromstring(drawn).iter() if element.tag.endswith("text")]
    assert f"{told['nodes_after']} nodes" in words
    assert f"block {told['block']}" in words
    committed = (ROOT / "docs" / "digits.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(committed).attrib == ElementTree.fromstring(drawn).attrib
