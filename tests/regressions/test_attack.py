"""Graphs that were once compiled to a wrong result, or not at all: each the smallest that showed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

import graphopt

LARGEST = np.finfo(np.float32).max


def model(text: str, opset: int = 18, tensors: Mapping[str, np.ndarray] | None = None) -> onnx.ModelProto:
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g {text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (tensors or {}).items())
    return made


def run(made: onnx.ModelProto, **feeds: np.ndarray) -> Any:
    compiled = graphopt.compile(made, targets=("x86-64-v3",), threads=1, check=False)
    return compiled(feeds)


def test_the_mask_of_a_dropout_of_open_shape_is_true_everywhere() -> None:
    text = "(float[N] x) => (float[N] y) { a, m = Dropout(x) b = Cast<to=1>(m) y = Add(a, b) }"
    x = np.arange(4096, dtype=np.float32)
    np.testing.assert_array_equal(run(model(text), x=x)["y"], x + 1)


@pytest.mark.parametrize(
    ("nodes", "opset", "wanted"),
    [
        ("y = Clip(x)", 18, [-LARGEST, LARGEST, np.nan]),
        ("y = Clip(x, zero)", 18, [0, LARGEST, np.nan]),
        ("y = Clip(x, , zero)", 18, [-LARGEST, 0, np.nan]),
        ("t = Clip(x, zero) y = Neg(t)", 18, [0, -LARGEST, np.nan]),
        ("y = Clip<min=0.0>(x)", 10, [0, LARGEST, np.nan]),
        ("t = Neg(x) y = Clip<min=0.0>(t)", 10, [LARGEST, 0, np.nan]),
        ("t = Neg(x) y = Clip<min=0.0, max=6.0>(t)", 7, [6, 0, np.nan]),
    ],
)
def test_a_bound_left_out_of_a_clip_is_the_largest_finite_number(nodes: str, opset: int, wanted: list[float]) -> None:
    tensors = {"zero": np.array(0, np.float32)} if "zero" in nodes else {}
    made = model(f"(float[3] x) => (float[3] y) {{ {nodes} }}", opset, tensors)
    got = run(made, x=np.array([-np.inf, np.inf, np.nan], np.float32))["y"]
    np.testing.assert_array_equal(got, np.array(wanted, np.float32))


def test_a_bound_left_out_of_a_clip_after_a_product_is_the_largest_finite_number() -> None:
    tensors = {"w": np.array([[1e30]], np.float32), "zero": np.array(0, np.float32)}
    made = model("(float[1,1] x) => (float[1,1] y) { t = MatMul(x, w) y = Clip(t, zero) }", 18, tensors)
    assert run(made, x=np.array([[1e30]], np.float32))["y"].item() == LARGEST


def test_what_is_not_above_the_threshold_is_zero_even_where_it_is_not_a_number() -> None:
    made = model("(float[3] x) => (float[3] y) { y = ThresholdedRelu<alpha=1.0>(x) }")
    assert run(made, x=np.array([np.nan, 1, 2], np.float32))["y"].tolist() == [0, 0, 2]


def test_two_bfloat16_constants_of_one_shape_are_compared() -> None:
    text = """(float[2] x) => (float[2] y) { c = Cast<to=16>(x) l = Cast<to=16>(low) h = Cast<to=16>(high)
        a = Mul(c, l) b = Add(a, h) y = Cast<to=1>(b) }"""
    made = model(text, 18, {"low": np.array(2, np.float32), "high": np.array(6, np.float32)})
    assert run(made, x=np.array([1, 3], np.float32))["y"].tolist() == [8, 12]


def test_an_output_listed_twice_is_returned_twice() -> None:
    made = model("(float[2] x) => (float[2] y) { a = Neg(x) b = Identity(a) y = Neg(b) }")
    made.graph.output.append(made.graph.output[0])
    assert [output.name for output in graphopt.optimize(made).graph.output] == ["y", "y"]
    assert run(made, x=np.array([1, -3], np.float32))["y"].tolist() == [1, -3]
