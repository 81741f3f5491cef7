"""In float64, what an attribute left out stands for, and what is computed in float32 all the same.

Attributes are float32 in the format, and so are their defaults: 1e-5 is 9.99999974738e-06, whatever type the data has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import graphopt
from graphopt.check import interpret, run_call
from graphopt.frontend import read_onnx
from graphopt.ops.table import Call
from graphopt_kernels.targets import host_targets

X = np.array([[[-1.5, 0.25], [0.0, 0.75], [3.0, -0.1]]])
PER_CHANNEL = np.array([1.0, -2.0, 0.5])


def model(op: str, inputs: list[np.ndarray], opset: int, constant: bool, **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(op, [f"i{k}" for k in range(len(inputs))], ["y"], **attributes)
    infos = [helper.make_tensor_value_info(f"i{k}", 11, x.shape) for k, x in enumerate(inputs)]
    made = [onnx.numpy_helper.from_array(x, f"i{k}") for k, x in enumerate(inputs) if k and constant]
    y = helper.make_tensor_value_info("y", 11, None)
    graph = helper.make_graph([node], "g", infos[:1] if constant else infos, [y], made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(source: onnx.ModelProto, inputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """By the reference, and compiled."""
    graph = read_onnx(source)
    feeds = {f"i{k}": x for k, x in enumerate(inputs[: len(graph.inputs)])}
    (checked,) = interpret(graph, feeds).values()
    (compiled,) = graphopt.compile(source, targets=host_targets()[:1], threads=1, check=False)(feeds).values()
    return checked, compiled


# the variance is 0, or near it, so that the epsilon is seen
FLAT = np.zeros((1, 3, 2)) + np.array([0.0, 1e-4])
CASES: list[tuple[str, int, list[np.ndarray], dict[str, float]]] = [
    ("BatchNormalization", 15, [X, PER_CHANNEL, PER_CHANNEL, 0 * PER_CHANNEL, 0 * PER_CHANNEL], {"epsilon": 1e-5}),
    ("InstanceNormalization", 6, [FLAT, PER_CHANNEL, PER_CHANNEL], {"epsilon": 1e-5}),
    ("LayerNormalization", 17, [FLAT, np.ones(2), np.ones(2)], {"epsilon": 1e-5}),
    ("RMSNormalization", 23, [FLAT, np.ones(2)], {"epsilon": 1e-5}),
    ("LeakyRelu", 16, [X], {"alpha": 0.01}),
    ("HardSigmoid", 6, [X], {"alpha": 0.2, "beta": 0.5}),
    ("Selu", 6, [X], {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875}),
    ("LRN", 13, [X], {"alpha": 1e-4, "beta": 0.75, "bias": 1.0}),
]


@pytest.mark.parametrize("constant", [False, True], ids=["given", "constant"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_an_attribute_left_out_is_the_float32_of_its_default(case: Any, constant: bool) -> None:
    op, opset, inputs, defaults = case
    more = {"size": 3} if op == "LRN" else {}
    for said, left_out in zip(
        run(model(op, inputs, opset, constant, **more, **defaults), inputs),
        run(model(op, inputs, opset, constant, **more), inputs),
        strict=True,
    ):
        assert said.dtype == left_out.dtype == np.float64
        assert said.tobytes() == left_out.tobytes()


def test_the_epsilon_of_a_normalisation_is_the_float32_next_to_its_number() -> None:
    inputs = [np.ones((2, 1)), np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1)]
    for result in run(model("BatchNormalization", inputs, 15, constant=True), inputs):
        np.testing.assert_allclose(result, 1 / np.sqrt(np.float64(np.float32(1e-5))), rtol=1e-14)


@pytest.mark.parametrize(("stash", "told_apart"), [({}, False), ({"stash_type": 1}, False), ({"stash_type": 11}, True)])
def test_the_first_stage_of_group_normalization_is_in_the_stash_type(stash: Any, told_apart: bool) -> None:
    """Numbers that float32 does not tell apart are one number, and have no deviation."""
    inputs = [np.array([[[1, 1 + 1e-9], [2, 2 - 1e-9]]]), np.full(2, 1e6), np.zeros(2)]
    for result in run(model("GroupNormalization", inputs, 21, constant=False, num_groups=2, **stash), inputs):
        assert result.any() == told_apart


def test_group_normalization_of_opset_18_has_no_stash() -> None:
    inputs = [np.array([[[1, 1 + 1e-9], [2, 2 - 1e-9]]]), np.full(2, 1e6), np.zeros(2)]
    for result in run(model("GroupNormalization", inputs, 18, constant=False, num_groups=2), inputs):
        assert result.any()


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("region", [(4, 4, 4, 4), (3, 1, 3, 5), (1, 3, 5, 3), (5, 5, 2, 2)])
def test_a_region_without_extent_is_sampled_nowhere(mode: str, region: tuple[int, ...]) -> None:
    """Where the number of samples follows from the extent; a ratio that is given is kept."""
    x = np.arange(1, 37, dtype=np.float32).reshape(1, 1, 6, 6)
    given = (x, np.array([region], np.float32), np.zeros(1, np.int64))
    more = {"output_height": 2, "output_width": 2, "mode": mode}
    (adaptive,) = run_call(Call("RoiAlign", "", 16, more, given, 1))
    assert not adaptive.any()
    (fixed,) = run_call(Call("RoiAlign", "", 16, more | {"sampling_ratio": 2}, given, 1))
    assert fixed.all()
    (older,) = run_call(Call("RoiAlign", "", 10, more, given, 1))
    assert older.all()  # there an extent is 1 at least
