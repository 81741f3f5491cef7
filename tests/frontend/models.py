"""Small models from ONNX's text form, and ONNX Runtime to run them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, numpy_helper

HEADER = '<ir_version: 10, opset_import: ["" : 21, "local" : 1, "custom" : 3]>\n'


def parse(text: str, header: str = HEADER) -> ModelProto:
    """The model that a graph's text (and functions after it) stands for."""
    return onnx.parser.parse_model(header + text)


def f32(items: object) -> np.ndarray:
    """A float32 array."""
    return np.array(items, np.float32)


def canonical(model: ModelProto) -> ModelProto:
    """The model with its initializers as raw bytes and without fields that say nothing."""
    copy = ModelProto.FromString(model.SerializeToString())
    for node in copy.graph.node:
        for field in ("name", "domain", "overload", "doc_string"):
            if not getattr(node, field):
                node.ClearField(field)
    for tensor in copy.graph.initializer:
        raw = numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
        tensor.ClearField("float_data")
        tensor.raw_data = raw
    return copy


def run(model: ModelProto, **feeds: Any) -> list[Any]:
    """The model's outputs in ONNX Runtime, without its optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session: Any = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(value) for name, value in feeds.items()})


def assert_same(before: ModelProto, after: ModelProto, **feeds: Any) -> None:
    """The second is valid where the first is, has the same interface and gives the same results."""
    if is_valid(before):
        onnx.checker.check_model(after, full_check=True)
    assert [i.name for i in after.graph.input] == [i.name for i in before.graph.input]
    assert [o.name for o in after.graph.output] == [o.name for o in before.graph.output]
    for a, b in zip(run(before, **feeds), run(after, **feeds), strict=True):
        np.testing.assert_array_equal(a, b)


def is_valid(model: ModelProto) -> bool:
    """Whether onnx's checker accepts the model."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        return False
    return True
