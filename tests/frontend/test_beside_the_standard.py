"""What ONNX Runtime has in the standard's own domain, and GroupNormalization of opset 18, as ONNX Runtime has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper

import graphopt
from graphopt.check import interpret
from graphopt.errors import ModelError
from graphopt.frontend import read_onnx
from graphopt_kernels.targets import host_targets

RNG = np.random.default_rng(4)


def f(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def model(op: str, opset: int, inputs: list[np.ndarray], outputs: int = 1, **attributes: Any) -> ModelProto:
    node = helper.make_node(op, [f"i{k}" for k in range(len(inputs))], [f"o{k}" for k in range(outputs)], **attributes)
    infos = [
        helper.make_tensor_value_info(f"i{k}", 1, ["N", *x.shape[1:]] if k == 0 else x.shape)
        for k, x in enumerate(inputs)
    ]
    made = [helper.make_value_info(f"o{k}", onnx.TypeProto()) for k in range(outputs)]
    graph = helper.make_graph([node], "g", infos, made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


CASES: list[tuple[str, int, list[np.ndarray], dict[str, Any]]] = [
    ("LayerNormalization", 12, [f(2, 3, 4), f(4), f(4)], {"epsilon": 1e-4, "axis": -1}),
    ("LayerNormalization", 9, [f(2, 3, 4), f(3, 4)], {"axis": 1}),
    ("SimplifiedLayerNormalization", 17, [f(2, 3, 4), f(4)], {"epsilon": 1e-4, "axis": -1, "stash_type": 1}),
    ("SimplifiedLayerNormalization", 11, [f(2, 3, 4), f(4)], {}),
    ("GroupNormalization", 18, [f(2, 4, 3), f(2), f(2)], {"num_groups": 2, "epsilon": 1e-3}),
    ("GroupNormalization", 20, [f(2, 6, 3, 2), f(3), f(3)], {"num_groups": 3}),
    ("ThresholdedRelu", 9, [f(2, 3)], {"alpha": 0.5}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_it_is_read_checked_and_run_as_onnxruntime_does(case: tuple[str, int, list[np.ndarray], Any]) -> None:
    ort = pytest.importorskip("onnxruntime")
    op, opset, inputs, attributes = case
    source = model(op, opset, inputs, **attributes)
    feeds = {f"i{k}": x for k, x in enumerate(inputs)}
    session = ort.InferenceSession(source.SerializeToString(), providers=["CPUExecutionProvider"])
    (want,) = session.run(None, feeds)
    (checked,) = interpret(read_onnx(source), feeds).values()
    np.testing.assert_allclose(checked, want, rtol=1e-5, atol=1e-6)
    (ran,) = graphopt.compile(source, targets=host_targets()[:1], threads=1, check=False)(feeds).values()
    np.testing.assert_allclose(ran, want, rtol=1e-5, atol=1e-5)


def test_its_attributes_and_arity_are_checked_all_the_same() -> None:
    with pytest.raises(ModelError, match="has no attribute 'frob'"):
        read_onnx(model("SimplifiedLayerNormalization", 17, [f(2, 3), f(3)], frob=1))
    with pytest.raises(ModelError, match="has 3 inputs, expected 2"):
        read_onnx(model("SimplifiedLayerNormalization", 17, [f(2, 3), f(3), f(3)]))
    with pytest.raises(ModelError, match="needs the attribute 'border'"):
        read_onnx(model("Crop", 6, [f(1, 1, 2, 2)]))


def test_what_is_deprecated_and_nobody_runs_is_refused() -> None:
    with pytest.raises(ModelError, match="Scatter is deprecated since opset 11, and the model uses 17"):
        read_onnx(model("Scatter", 17, [f(2, 3), f(2, 3), f(2, 3)]))
