"""How far two correct runs of one model lie apart: the noise floor, and the run by which it is measured.

The floor of a model is the difference, relative to the largest element of the output, between ONNX Runtime with all
optimisations and with none: both are right, so nobody may be asked to be closer.  `python -m bench.corpus_roundtrip
--floors` measures the figures below anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import ModelProto

ORDINARY = 3e-5
"""For every model that is not named below: the largest measured is 2.3e-5 (ppocrv4_det)."""

MEASURED = {
    "t5_title_decoder": 7e-2,
    "t5_title_encoder": 2e-3,
    "basic_pitch": 9e-4,
    "smart_turn_qdq": 8e-4,
    "slovorez": 5e-4,
}
"""The noisier ones: rounding to int8 (t5, smart_turn), a logarithm near zero (basic_pitch) or halves (slovorez) magnify
what differs in the last bit.  On some inputs of t5 a flipped rounding grows to 0.28: there the floor of that very input
counts, see `tolerance`."""


def floor_of(name: str) -> float:
    """The difference that says nothing, for one model."""
    return MEASURED.get(name, ORDINARY)


def tolerance(name: str, model: ModelProto, feeds: Mapping[str, np.ndarray]) -> float:
    """The model's floor, or that of these very inputs where it is higher."""
    return max(floor_of(name), difference(run(model, feeds), run(model, feeds, optimised=True)))


def run(model: ModelProto, feeds: Mapping[str, np.ndarray], *, optimised: bool = False) -> list[Any]:
    """The outputs of a model in ONNX Runtime, on one thread, with none of its optimisations or with all."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session: Any = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def difference(expected: object, found: object) -> float:
    """The largest difference relative to the largest expected element; infinite where shapes or kinds differ.

    NaN equals NaN and an infinity itself; whole numbers and texts are either equal or infinitely different.
    """
    if isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            return float("inf")
        return max((difference(a, b) for a, b in zip(expected, found, strict=True)), default=0.0)
    if isinstance(expected, dict):
        if not isinstance(found, dict) or list(found) != list(expected):
            return float("inf")
        return max((difference(expected[key], found[key]) for key in expected), default=0.0)
    a, b = np.asarray(expected), np.asarray(found)
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else float("inf")
    wide, other = a.astype(np.float64), b.astype(np.float64)
    same = (wide == other) | (np.isnan(wide) & np.isnan(other))
    if same.all():
        return 0.0
    if not (np.isfinite(wide[~same]).all() and np.isfinite(other[~same]).all()):
        return float("inf")
    scale = float(np.max(np.abs(wide[np.isfinite(wide)]), initial=0.0))
    return float(np.max(np.abs(wide - other)[~same])) / (scale or 1.0)
