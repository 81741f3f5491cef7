"""Models that need a change before they show anything: constant weights made random, static dims made dynamic.

The CNNs in the onnx package have constant weights, with which most wrong rewrites do not show.  `centerface` ships
with the dims 10×3×32×32, which its own program replaces as it loads.
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, numpy_helper

from bench.corpus.feeds import feeds
from bench.corpus.models import Model


def prepare(model: Model, source: Path) -> ModelProto:
    """The model as the corpus uses it."""
    proto = onnx.load(source)
    return _make_dynamic(proto) if model.preparation == "dynamic" else _give_random_weights(proto, model.name)


def _make_dynamic(proto: ModelProto) -> ModelProto:
    weights = {tensor.name for tensor in proto.graph.initializer}
    for info in (info for info in proto.graph.input if info.name not in weights):
        for axis, name in ((0, "B"), (2, "H"), (3, "W")):
            info.type.tensor_type.shape.dim[axis].dim_param = name
    for info in proto.graph.output:
        for axis, name in ((0, "B"), (2, "h"), (3, "w")):
            info.type.tensor_type.shape.dim[axis].dim_param = name
    return proto


def _give_random_weights(proto: ModelProto, name: str) -> ModelProto:
    graph = proto.graph
    random = np.random.default_rng(0)
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    fills = [node for node in graph.node if node.op_type == "ConstantOfShape" and node.input[0] in shapes]
    uses = _uses(graph)
    for node in fills:
        shape = tuple(int(dim) for dim in shapes[node.input[0]])
        weights = _weights(random, shape, _roles(node.output[0], uses))
        graph.initializer.append(numpy_helper.from_array(weights.astype(np.float32), node.output[0]))
    replaced = {node.input[0] for node in fills}
    kept = [node for node in graph.node if not (node.op_type == "ConstantOfShape" and node.input[0] in replaced)]
    used = {name for node in kept for name in node.input}
    initializers = [tensor for tensor in graph.initializer if tensor.name in used]
    inputs = [info for info in graph.input if info.name in used - replaced]
    rebuilt = GraphProto(name=graph.name, node=kept, initializer=initializers, input=inputs, output=graph.output)
    graph.CopyFrom(rebuilt)
    proto.ir_version = max(proto.ir_version, 4)
    _scale_logits(proto, name)
    onnx.checker.check_model(proto)
    return proto


def _uses(graph: GraphProto) -> dict[str, list[tuple[NodeProto, int]]]:
    uses: dict[str, list[tuple[NodeProto, int]]] = defaultdict(list)
    for node in graph.node:
        for slot, name in enumerate(node.input):
            uses[name].append((node, slot))
    return uses


def _roles(name: str, uses: dict[str, list[tuple[NodeProto, int]]]) -> set[tuple[str, int]]:
    """What a weight is used as, looking through reshapes."""
    roles: set[tuple[str, int]] = set()
    for node, slot in uses[name]:
        if node.op_type in ("Unsqueeze", "Reshape") and slot == 0:
            roles |= _roles(node.output[0], uses)
        else:
            roles.add((node.op_type, slot))
    return roles


def _weights(random: np.random.Generator, shape: tuple[int, ...], roles: set[tuple[str, int]]) -> np.ndarray:
    if roles & {("Conv", 1), ("Gemm", 1)}:
        fan_in = math.prod(shape[1:] if len(shape) > 1 else shape)
        return random.standard_normal(shape) * np.sqrt(2 / max(fan_in, 1))
    if ("BatchNormalization", 4) in roles:
        return random.uniform(0.5, 1.5, shape)
    if roles & {("BatchNormalization", 1), ("Mul", 0), ("Mul", 1)}:
        return random.uniform(0.8, 1.2, shape)
    return random.standard_normal(shape) * 0.05


def _scale_logits(proto: ModelProto, name: str) -> None:
    """Scale the last layer so that the logits have a deviation of about 2: else Softmax saturates or is flat."""
    import onnxruntime

    graph = proto.graph
    producer = {output: node for node in graph.node for output in node.output}
    softmax = [node for node in graph.node if node.op_type == "Softmax"]
    logits = softmax[-1].input[0] if softmax else graph.output[0].name
    layer = producer[logits]
    while layer.op_type not in ("Conv", "Gemm"):
        layer = producer[layer.input[0]]
    returned = {info.name for info in graph.output}
    if logits not in returned:
        graph.output.append(ValueInfoProto(name=logits))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session: Any = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (result,) = session.run([logits], feeds(name))
    if logits not in returned:
        del graph.output[-1]
    factor = np.float32(2 / result.std())
    for tensor in graph.initializer:
        if tensor.name in layer.input[1:]:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * factor, tensor.name))
