"""Applications that fit, of operators for which onnx ships no case of one node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from tests.ops.forest import tree_attributes
from tests.ops.microsoft_cases import cases

_ML, _MS = "ai.onnx.ml", "com.microsoft"
_VERSIONS = {"": 17, _ML: 3, _MS: 1}


def ours() -> list[tuple[str, onnx.ModelProto, Mapping[str, Any]]]:
    """A name, a model of one node and its inputs, for each."""
    made: list[_Application] = [
        *_standard(),
        *_sequences(),
        *_classic(),
        *_contributed(),
        *((case.op, case.domain, case.inputs, case.outputs, case.attributes) for case in cases()),
    ]
    return [(f"ours_{number}_{application[0]}", *_model(*application)) for number, application in enumerate(made)]


_Application = tuple[str, str, Sequence[Any], int, dict[str, Any]]
"""Operator, domain, inputs (None for one left out), how many outputs, attributes."""


def _standard() -> list[_Application]:
    rois = np.array([[0, 0, 0, 3, 3], [1, 1, 1, 2, 3]], np.float32)
    return [
        ("GlobalLpPool", "", [_floats(1, 2, 3, 3)], 1, {}),
        ("MaxRoiPool", "", [_floats(2, 2, 4, 4), rois], 1, {"pooled_shape": [2, 2]}),
        ("Multinomial", "", [_floats(2, 3)], 1, {"sample_size": 4}),
        ("Not", "", [np.array([True, False])], 1, {}),
        ("RandomNormalLike", "", [_floats(2, 3)], 1, {}),
        ("RandomUniformLike", "", [_floats(2, 3)], 1, {}),
        ("LSTM", "", _recurrent(4, with_cell=True), 3, {"hidden_size": 2}),
        ("GRU", "", _recurrent(3), 2, {"hidden_size": 2}),
        ("RNN", "", _recurrent(1), 2, {"hidden_size": 2}),
        ("Resize", "", [_floats(1, 1, 4, 4), None, np.array([1, 1, 2, 0.5], np.float32)], 1, {"mode": "linear"}),
        ("Resize", "", [_floats(1, 1, 4, 4), None, None, np.array([1, 1, 3, 5])], 1, {}),
        ("Conv", "", [_floats(1, 4, 5, 5), _floats(6, 2, 3, 3), _floats(6)], 1, {"group": 2, "pads": [1, 1, 1, 1]}),
        ("ConvTranspose", "", [_floats(1, 4, 3, 3), _floats(4, 3, 2, 2), _floats(6)], 1, {"group": 2}),
        ("Gemm", "", [_floats(3, 4), _floats(5, 4), _floats(5)], 1, {"transB": 1}),
        ("MatMul", "", [_floats(2, 3, 4), _floats(4, 5)], 1, {}),
        ("ScatterND", "", [_floats(4, 3), np.array([[1], [3]]), _floats(2, 3)], 1, {"reduction": "add"}),
        ("GatherND", "", [_floats(3, 4, 2), np.array([[[1], [3]], [[0], [2]], [[1], [1]]])], 1, {"batch_dims": 1}),
        ("Pad", "", [_floats(3, 4), np.array([1, 0, 0, 2]), np.float32(7)], 1, {}),
        ("InstanceNormalization", "", [_floats(2, 3, 4), _floats(3), _floats(3)], 1, {}),
        ("LayerNormalization", "", [_floats(2, 3, 4), _floats(4), _floats(4)], 1, {}),
    ]


def _sequences() -> list[_Application]:
    items = [_floats(2, 3), _floats(2, 3) + 1]
    return [
        ("SequenceAt", "", [items, np.int64(1)], 1, {}),
        ("SequenceErase", "", [items, np.int64(-1)], 1, {}),
        ("SequenceInsert", "", [items, _floats(2, 3), np.int64(2)], 1, {}),
        ("SequenceConstruct", "", [_floats(2, 3), _floats(2, 3)], 1, {}),
        ("SequenceLength", "", [items], 1, {}),
        ("ConcatFromSequence", "", [items], 1, {"axis": 1}),
        ("ConcatFromSequence", "", [items], 1, {"axis": 0, "new_axis": 1}),
    ]


def _classic() -> list[_Application]:
    x = _floats(3, 4)
    linear: dict[str, Any] = {"coefficients": _floats(12).tolist(), "intercepts": [0.5, 1.0, 2.0]}
    supports = {"coefficients": _floats(4).tolist(), "support_vectors": _floats(16).tolist(), "n_supports": 4}
    imputer = {"imputed_value_floats": [1.0, 2.0, 3.0, 4.0], "replaced_value_float": 0.0}
    trees = {"classlabels_int64s": [0, 1, 2], **tree_attributes("class", 3)}
    return [
        ("FeatureVectorizer", _ML, [x, _floats(3, 2)], 1, {"inputdimensions": [4, 2]}),
        ("Imputer", _ML, [x], 1, imputer),
        ("LinearClassifier", _ML, [x], 2, {**linear, "classlabels_ints": [0, 1, 2]}),
        ("LinearRegressor", _ML, [x], 1, {**linear, "targets": 3}),
        ("Normalizer", _ML, [x], 1, {"norm": "L2"}),
        ("OneHotEncoder", _ML, [np.array([1, 5, 9])], 1, {"cats_int64s": [9, 1]}),
        ("SVMRegressor", _ML, [x], 1, {**supports, "rho": [0.3], "kernel_type": "LINEAR"}),
        ("Scaler", _ML, [x], 1, {"offset": [0.5, 1.0, 2.0, 3.0], "scale": [2.0]}),
        ("TreeEnsembleClassifier", _ML, [x], 2, trees),
        ("TreeEnsembleRegressor", _ML, [x], 1, {**tree_attributes("target", 1), "n_targets": 1}),
        ("CategoryMapper", _ML, [np.array([1, 2])], 1, {"cats_strings": ["a", "b"], "cats_int64s": [1, 2]}),
    ]


def _contributed() -> list[_Application]:
    x, bytes_ = _floats(2, 4), np.arange(12, dtype=np.uint8).reshape(4, 3)
    scale, zero = np.float32(0.5), np.uint8(3)
    lstm = [_floats(2, 1, 3), np.ones((1, 3, 8), np.int8), np.ones((1, 2, 8), np.int8), _floats(1, 16), None]
    lstm += [_floats(1, 1, 2), _floats(1, 1, 2), None, np.array([0.1], np.float32), np.zeros(1, np.int8)]
    lstm += [np.array([0.1], np.float32), np.zeros(1, np.int8)]
    return [
        ("BiasGelu", _MS, [x, _floats(4)], 1, {}),
        ("FastGelu", _MS, [x, _floats(4)], 1, {}),
        ("Gelu", _MS, [x], 1, {}),
        ("QuickGelu", _MS, [x], 1, {}),
        ("QuantizeLinear", _MS, [x, scale, zero], 1, {}),
        ("DequantizeLinear", _MS, [bytes_, scale, zero], 1, {}),
        ("DynamicQuantizeLSTM", _MS, lstm, 3, {"hidden_size": 2}),
        ("DynamicQuantizeMatMul", _MS, [x, bytes_, scale, zero, _floats(3)], 1, {}),
        ("MatMulIntegerToFloat", _MS, [bytes_.T, bytes_, scale, scale, zero, zero, _floats(3)], 1, {}),
        ("FusedMatMul", _MS, [x, _floats(3, 4)], 1, {"transB": 1}),
        ("SkipLayerNormalization", _MS, [_floats(2, 3, 4), _floats(2, 3, 4), *(_floats(4) for _ in range(3))], 1, {}),
        ("SkipSimplifiedLayerNormalization", _MS, [_floats(2, 3, 4), _floats(2, 3, 4), _floats(4)], 1, {}),
    ]


def _recurrent(gates: int, *, with_cell: bool = False) -> list[Any]:
    made: list[Any] = [_floats(3, 2, 4), _floats(1, gates * 2, 4), _floats(1, gates * 2, 2), _floats(1, gates * 4)]
    made += [np.array([3, 2], np.int32), _floats(1, 2, 2)]
    return [*made, _floats(1, 2, 2), _floats(1, 6)] if with_cell else made


def _floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def _model(
    op: str, domain: str, inputs: Sequence[Any], outputs: int, attributes: Mapping[str, Any]
) -> tuple[onnx.ModelProto, Mapping[str, Any]]:
    feeds = {f"i{slot}": _array(value) for slot, value in enumerate(inputs) if value is not None}
    names = [f"i{slot}" if value is not None else "" for slot, value in enumerate(inputs)]
    node = helper.make_node(op, names, [f"o{slot}" for slot in range(outputs)], domain=domain, **attributes)
    infos = [helper.make_value_info(name, _type(value)) for name, value in feeds.items()]
    made = [helper.make_value_info(f"o{slot}", onnx.TypeProto()) for slot in range(outputs)]
    opsets = [helper.make_opsetid(domain, _VERSIONS[domain]) for domain in dict.fromkeys(("", domain))]
    model = helper.make_model(helper.make_graph([node], "g", infos, made), opset_imports=opsets, ir_version=8)
    return model, feeds


def _array(value: Any) -> Any:
    return [np.asarray(item) for item in value] if isinstance(value, list) else np.asarray(value)


def _type(value: Any) -> onnx.TypeProto:
    if isinstance(value, list):
        return helper.make_sequence_type_proto(_type(value[0]))
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
