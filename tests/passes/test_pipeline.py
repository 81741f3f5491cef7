"""The pipelines: their order, and what holds of `optimize` as a whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

import graphopt
from graphopt.errors import GraphoptError
from graphopt.passes import FoldConstants, MergeConsecutive, check_order, lowering_passes, optimization_passes

ROOT = Path(__file__).parents[2]
TEXT = """<ir_version: 10, opset_import: ["": 21]>
    g (float[batch,4,3,3] x) => (float[batch,4,3,3] y, float[batch,36] z) <float two = {2}, float half = {0.5}> {
      i = Identity(x) c = Conv(i, w) d = BatchNormalization(c, s, b, m, v) e = Relu(d)
      k = Mul(two, half) g = Mul(k, e) t = Flatten(g) h = Neg(t) z = Neg(h) q = Exp(e) y = Sub(g, e) }"""


def model() -> onnx.ModelProto:
    random = np.random.default_rng(5)
    proto = parser.parse_model(TEXT)
    arrays = {"w": random.standard_normal((4, 4, 1, 1))} | {name: random.random(4) + 0.5 for name in "sbmv"}
    proto.graph.initializer.extend(numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items())
    proto.graph.node[1].metadata_props.add(key="layer", value="first")
    return proto


def test_passes_stand_after_those_they_need() -> None:
    check_order([*optimization_passes(), *lowering_passes()])
    with pytest.raises(GraphoptError, match="merge-consecutive must stand after fold-constants"):
        check_order([MergeConsecutive(), FoldConstants()])


def test_the_interface_stays_and_the_argument_is_not_changed() -> None:
    proto = model()
    before = proto.SerializeToString(deterministic=True)
    optimised = graphopt.optimize(proto)
    assert proto.SerializeToString(deterministic=True) == before
    onnx.checker.check_model(optimised, full_check=True)
    for side in ("input", "output"):
        assert list(getattr(optimised.graph, side)) == list(getattr(proto.graph, side))
    assert [node.op_type for node in optimised.graph.node] == ["Conv", "Relu", "Flatten", "Sub"]
    assert {entry.key: entry.value for entry in optimised.graph.node[0].metadata_props}["layer"] == "first"


def test_optimising_again_changes_nothing() -> None:
    once = graphopt.optimize(model())
    assert graphopt.optimize(once).graph.node == once.graph.node


def test_the_exact_level_leaves_the_convolution_alone() -> None:
    exact = graphopt.optimize(model(), level="exact")
    assert "BatchNormalization" in [node.op_type for node in exact.graph.node]


def test_a_skipped_pass_is_not_run_and_an_unknown_one_is_an_error() -> None:
    kept = graphopt.optimize(model(), skip=["fuse-conv-batchnorm"])
    assert "BatchNormalization" in [node.op_type for node in kept.graph.node]
    with pytest.raises(GraphoptError, match="there is no pass 'fuse'"):
        graphopt.optimize(model(), skip=["fuse"])
    with pytest.raises(GraphoptError, match="level 'fast' is not known"):
        graphopt.optimize(model(), level="fast")


def test_two_hash_seeds_give_the_same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "model.onnx"
    onnx.save(model(), source)
    program = (
        "import sys, hashlib, graphopt; m = graphopt.optimize(sys.argv[1]);"
        "print(hashlib.sha256(m.SerializeToString(deterministic=True)).hexdigest())"
    )
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "kernels", "governance"))
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(source)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
