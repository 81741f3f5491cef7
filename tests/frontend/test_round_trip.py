"""Reading and writing gives back the model."""

from __future__ import annotations

import warnings

import onnx
from onnx import ModelProto
from onnx.backend.test.loader import load_model_tests

from graphopt.frontend import read_onnx, write_onnx


def node_cases() -> list[tuple[str, ModelProto]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases compute their data with overflows on purpose
        cases = load_model_tests(kind="node")
    return [(case.name, case.model) for case in cases if case.model is not None]


def is_valid(model: ModelProto) -> bool:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        return False
    return True


def test_every_node_case_of_onnx_survives_and_stays_valid() -> None:
    cases = node_cases()
    assert len(cases) > 1500
    for name, model in cases:
        written = write_onnx(read_onnx(model))
        assert is_valid(written) or not is_valid(model), name
        assert [i.name for i in written.graph.input] == [i.name for i in model.graph.input], name
        assert [o.SerializeToString() for o in written.graph.output] == [
            o.SerializeToString() for o in model.graph.output
        ], name
        again = write_onnx(read_onnx(written))
        assert again == written, name
