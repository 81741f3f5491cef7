"""Convolutions against plain loops, on every target that this machine runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt_kernels.abi import Operand, Ref
from graphopt_kernels.bind import convolution as family
from graphopt_kernels.targets import host_targets
from tests.kernels.harness import bound_between_walls
from tests.naive_products import convolution, transposed_convolution

pytestmark = pytest.mark.skipif(not host_targets(), reason="no target for this machine")

BOUNDS = {"": (-math.inf, math.inf), "Relu": (0.0, math.inf), "Clip": (-0.5, 1.5)}


def run(
    op: str,
    inputs: list[np.ndarray | None],
    shape: tuple[int, ...],
    target: str,
    *,
    pack: bool = False,
    team: int = 1,
    in_turn: bool = False,
    **attributes: Any,
) -> np.ndarray:
    """One operator through `pack`, `select`, `bind` and the machine code."""
    x, w = inputs[0], inputs[1]
    assert x is not None
    assert w is not None
    attributes = {"op": op, "version": 13, "clip_low": -0.5, "clip_high": 1.5, "threads": team, **attributes}
    packed = family.pack(1, w, attributes) if pack else None
    if packed is not None:
        attributes["packed"] = (1,)
    specs = family.select(op, 13, [None if i is None else i.dtype for i in inputs], attributes)
    assert specs is not None
    output = np.full(shape, 77, x.dtype)
    results = [
        (bound.run_in_turn if in_turn else bound.run)(team)[0]
        for bound in bound_between_walls(family, specs, inputs, output, attributes, target, packed)
    ]
    assert results[0].tobytes() == results[1].tobytes()
    return results[0]


def integers(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Small integers: every sum is exact, so that results are equal bit for bit whatever the order."""
    return rng.integers(-3, 4, shape).astype(dtype)


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    """Shapes and attributes of a convolution whose kernel fits."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    group = draw(st.sampled_from([1, 1, 2, 3, 8]))
    per_group = draw(st.sampled_from([1, 1, 2, 5]))
    kernel = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 5]), min_size=rank, max_size=rank)))
    dilations = tuple(draw(st.lists(st.sampled_from([1, 1, 2]), min_size=rank, max_size=rank)))
    pads = tuple(draw(st.lists(st.integers(0, 3), min_size=2 * rank, max_size=2 * rank)))
    strides = tuple(draw(st.lists(st.sampled_from([1, 2, 3]), min_size=rank, max_size=rank)))
    reach = [dilations[d] * (kernel[d] - 1) + 1 for d in range(rank)]
    extra = {1: 70, 2: 18, 3: 4}[rank]
    size = tuple(max(1, r - pads[d] - pads[rank + d]) + draw(st.integers(0, extra)) for d, r in enumerate(reach))
    return {
        "x": (draw(st.sampled_from([1, 2])), group * per_group, *size),
        "w": (group * draw(st.sampled_from([1, 3, 4, 14])), per_group, *kernel),
        "group": group, "strides": strides, "pads": pads, "dilations": dilations,
    }  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(
    case=cases(),
    dtype=st.sampled_from([np.float32, np.float32, np.float64]),
    activation=st.sampled_from(["", "Relu", "Clip"]),
    bias=st.booleans(),
    residual=st.booleans(),
    pack=st.booleans(),
    team=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_conv_is_its_plain_loop_twin(
    case: dict[str, Any], dtype: Any, activation: str, bias: bool, residual: bool, pack: bool, team: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, w = integers(rng, case["x"], dtype), integers(rng, case["w"], dtype)
    attributes = {name: case[name] for name in ("group", "strides", "pads", "dilations")}
    b = integers(rng, (w.shape[0],), dtype) if bias else None
    plain = convolution(x, w, b, **attributes)
    r = integers(rng, plain.shape, dtype) if residual else None
    low, high = BOUNDS[activation]
    expected = np.clip(plain if r is None else plain + r, low, high)
    for target in host_targets():
        got = run("Conv", [x, w, b, r], plain.shape, target, pack=pack, team=team, activation=activation, **attributes)
        assert np.array_equal(got, expected)


@settings(deadline=None, max_examples=25)
@given(
    case=cases(),
    padded=st.booleans(),
    bias=st.booleans(),
    team=st.sampled_from([1, 2]),
    seed=st.integers(0, 2**32 - 1),
)
def test_transposed_conv_is_its_plain_loop_twin(
    case: dict[str, Any], padded: bool, bias: bool, team: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rank, group = len(case["strides"]), case["group"]
    w = integers(rng, (case["x"][1], case["w"][0] // group, *case["w"][2:]), np.float32)
    x = integers(rng, case["x"], np.float32)
    pads = tuple(min(p, 1) for p in case["pads"])
    padding = tuple(s - 1 if padded else 0 for s in case["strides"])
    extent = [
        case["strides"][d] * (x.shape[2 + d] - 1) + padding[d] + (w.shape[2 + d] - 1) * case["dilations"][d] + 1
        for d in range(rank)
    ]
    pads = tuple(p if extent[i % rank] > 3 else 0 for i, p in enumerate(pads))
    b = integers(rng, (w.shape[1] * group,), np.float32) if bias else None
    attributes: dict[str, Any] = {
        "group": group,
        "strides": case["strides"],
        "dilations": case["dilations"],
        "pads": pads,
    }
    expected = transposed_convolution(x, w, b, output_padding=padding, **attributes)
    for target in host_targets():
        got = run("ConvTranspose", [x, w, b], expected.shape, target, team=team, output_padding=padding, **attributes)
        assert np.array_equal(got, expected)


@pytest.mark.parametrize("shape", [(1, 700, 9, 9), (1, 700, 40, 40)])
def test_channels_beyond_one_block_are_added_to_what_is_there(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, w, b = (
        integers(rng, shape, np.float32),
        integers(rng, (13, 700, 3, 3), np.float32),
        integers(rng, (13,), np.float32),
    )
    spread = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    expected = np.einsum("nchwij,ocij->nohw", spread, w, optimize=True) + b.reshape(1, -1, 1, 1)
    residual = integers(rng, expected.shape, np.float32)
    for target in host_targets():
        for team in (1, 2, 3):
            got = run("Conv", [x, w, b, residual], expected.shape, target, pack=True, team=team, pads=(1, 1, 1, 1))
            assert np.array_equal(got, expected + residual)


def test_results_do_not_depend_on_the_team() -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((1, 96, 15, 15), (40, 96, 3, 3)))
    alone = run("Conv", [x, w], (1, 40, 15, 15), host_targets()[0], pads=(1, 1, 1, 1))
    for team in (2, 3, 4):
        again = run("Conv", [x, w], (1, 40, 15, 15), host_targets()[0], pads=(1, 1, 1, 1), team=team)
        assert np.array_equal(alone, again)


@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("special", [math.nan, math.inf])
def test_nan_and_infinities_reach_what_they_reach_in_plain_loops(special: float, group: int) -> None:
    x, w = np.ones((1, 4, 6, 20), np.float32), np.ones((8, 4 // group, 3, 3), np.float32)
    x[0, 1, 3, 17], w[5, 0, 0, 0] = special, -1.0
    attributes: dict[str, Any] = {"strides": (1, 2), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": group}
    expected = convolution(x, w, low=0.0, **attributes)
    for target in host_targets():
        got = run("Conv", [x, w], expected.shape, target, activation="Relu", **attributes)
        assert np.array_equal(got, expected, equal_nan=True)


def test_auto_pad_is_what_onnx_says() -> None:
    x, w = np.arange(14, dtype=np.float32).reshape(1, 1, 14), np.array([[[1, 10, 100, 1000]]], np.float32)
    for auto, pads in (("SAME_UPPER", (1, 1)), ("SAME_LOWER", (1, 1)), ("VALID", (0, 0))):
        expected = convolution(x, w, strides=(2,), pads=pads, dilations=(1,))
        got = run("Conv", [x, w], expected.shape, host_targets()[0], strides=(2,), auto_pad=auto)
        assert np.array_equal(got, expected)
    odd = x[:, :, :13]
    for auto, pads in (("SAME_UPPER", (1, 2)), ("SAME_LOWER", (2, 1))):
        expected = convolution(odd, w, strides=(1,), pads=pads, dilations=(1,))
        assert np.array_equal(run("Conv", [odd, w], expected.shape, host_targets()[0], auto_pad=auto), expected)


def test_shapes_that_do_not_fit_are_one_sentence() -> None:
    def operand(*shape: int) -> Operand:
        return Operand(np.dtype(np.float32), shape, Ref.to(0, 0, 1 << 40))

    def bind(x: Operand, w: Operand, **attributes: Any) -> None:
        family.bind([x, w], [operand(1, 1, 1, 1)], {"op": "Conv", **attributes}, lambda n: Ref.to(0, 0, 1 << 40))

    with pytest.raises(ValueError, match="2 groups of weights"):
        bind(operand(1, 4, 8, 8), operand(3, 4, 3, 3), group=2)
    with pytest.raises(ValueError, match="does not fit into an input"):
        bind(operand(1, 4, 2, 8), operand(3, 4, 3, 3))
    with pytest.raises(ValueError, match="does not give"):
        bind(operand(1, 4, 8, 8), operand(3, 4, 3, 3))
    with pytest.raises(ValueError, match="one to 3 spatial dimensions"):
        bind(operand(1, 4, 2, 2, 2, 2), operand(3, 4, 1, 1, 1, 1))


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("size", [(5, 5), (7, 7), (14, 40)])
def test_depthwise_rows_computed_together_are_those_computed_alone(
    kernel: int, padding: int, size: tuple[int, int]
) -> None:
    rng = np.random.default_rng(kernel)
    shape = (2, 6, *size)
    attributes: dict[str, Any] = {"pads": (padding,) * 4, "group": 6}
    w, b = integers(rng, (6, 1, kernel, kernel), np.float32), integers(rng, (6,), np.float32)
    x = integers(rng, shape, np.float32)
    plain = convolution(x, w, b, strides=(1, 1), dilations=(1, 1), **attributes)
    residual = integers(rng, plain.shape, np.float32)
    for target in host_targets():
        got = run("Conv", [x, w, b, residual], plain.shape, target, team=1, **attributes)
        assert np.array_equal(got, plain + residual)
        rough = [rng.standard_normal(a.shape).astype(np.float32) for a in (x, w, b, residual)]
        alone = run("Conv", [*rough], plain.shape, target, team=1, **attributes)
        for team in (2, 5):
            assert np.array_equal(run("Conv", [*rough], plain.shape, target, team=team, **attributes), alone)
        members = 12 * plain.shape[2]  # each row goes to a member of its own
        apart = run("Conv", [*rough], plain.shape, target, team=members, in_turn=True, **attributes)
        assert np.array_equal(apart, alone)
