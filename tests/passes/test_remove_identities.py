"""remove-identities: what it takes away, and each thing it must leave."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.frontend import write_onnx
from graphopt.passes import RemoveIdentities
from graphopt.rewrite import Exactness, run_passes
from graphopt.testing.rewrites import assert_rewrites, assert_unchanged, parse

PASS = RemoveIdentities()
ARRAYS = {
    "zero": np.array(0, np.float32),
    "minus_zero": np.array(-0.0, np.float32),
    "one": np.array(1, np.float32),
    "half": np.array(0.5, np.float32),
    "training": np.array(True),
    "unit_scales": np.ones(2, np.float32),
    "column": np.full((3, 1, 1), -0.0, np.float32),
    "wide_ones": np.ones((2, 1, 4), np.float32),
    "ends": np.array([-99]),
    "starts": np.array([-1]),
    "axes": np.array([0]),
    "backwards": np.array([-1]),
    "moving": np.array([1, 0, -1, 0]),
    "no_pads": np.zeros(4, np.int64),
    "minus_one_four": np.array([-1, 4]),
    "unit_repeats": np.ones(2, np.int64),
    "first": np.zeros(2, np.int64),
    "far": np.full(2, 999),
}


def used(operator: str) -> dict[str, np.ndarray]:
    words = operator.replace("(", ",").replace(")", ",").replace(" ", "").split(",")
    return {name: array for name, array in ARRAYS.items() if name in words}


@pytest.mark.parametrize(
    "operator",
    [
        "Identity(x)",
        "Dropout(x)",
        "Cast<to=1>(x)",
        "CastLike(x, x)",
        "Transpose<perm=[0,1]>(x)",
        "Reshape(x, minus_one_four)",
        "Flatten(x)",
        "Expand(x, unit_repeats)",
        "Tile(x, unit_repeats)",
        "Slice(x, first, far)",
        "Pad(x, no_pads)",
        "Concat<axis=0>(x)",
        "Max(x)",
        "Split<num_outputs=1>(x)",
        "Mul(x, one)",
        "Mul(one, x)",
        "Div(x, one)",
        "Pow(x, one)",
        "Add(x, minus_zero)",
        "Sub(x, zero)",
    ],
)
def test_an_operator_that_gives_its_operand_back_goes(operator: str) -> None:
    before = f"(float[3,4] x) => (float[3,4] y) {{ a = {operator} y = Abs(a) }}"
    after = "(float[3,4] x) => (float[3,4] y) { y = Abs(x) }"
    assert_rewrites(PASS, before, after, used(operator), level=Exactness.EXACT)


@pytest.mark.parametrize(
    ("operator", "reason"),
    [
        ("Add(x, zero)", "−0 + 0 is +0"),
        ("Sub(x, minus_zero)", "−0 + 0 is +0"),
        ('Resize<mode="linear">(x, , unit_scales)', "zero times an infinite one is NaN"),
        ("Dropout(x, half, training)", "what it drops is random"),
        ("Add(x, column)", None),
        ("Mul(x, wide_ones)", None),
        ("Slice(x, starts, ends, axes, backwards)", None),
        ("Cast<to=10>(x)", None),
        ("Transpose(x)", None),
        ("Clip(x, zero, one)", None),
        ("Pad(x, moving)", None),
        ("Sub(one, x)", None),
        ("Div(one, x)", None),
    ],
)
def test_an_operator_that_changes_something_stays(operator: str, reason: str | None) -> None:
    assert_unchanged(PASS, f"(float[4,4] x) => (y) {{ y = {operator} }}", used(operator), reason=reason)


def test_a_resize_to_the_same_size_takes_the_nearest_which_is_the_element_itself() -> None:
    assert_rewrites(
        PASS,
        '(float[3,4] x) => (float[3,4] y) { a = Resize<mode="nearest">(x, , unit_scales) y = Abs(a) }',
        "(float[3,4] x) => (float[3,4] y) { y = Abs(x) }",
        {"unit_scales": np.ones(2, np.float32)},
        compute=False,  # onnx.reference interpolates here too, and rounds
    )


def test_zero_is_neutral_for_integers() -> None:
    assert_rewrites(
        PASS,
        "(int64[N] x) => (int64[N] y) <int64 zero = {0}> { a = Add(zero, x) b = Sub(a, zero) y = Neg(b) }",
        "(int64[N] x) => (int64[N] y) { y = Neg(x) }",
    )


def test_the_power_of_an_integer_to_a_float_stays() -> None:
    one = {"one": np.array(1, np.float32)}  # the power is computed in float, where large integers round
    assert_unchanged(PASS, "(int64[N] x) => (int64[N] y) { y = Pow(x, one) }", one)


def test_truth_is_neutral_for_and() -> None:
    assert_rewrites(
        PASS,
        "(bool[N] x) => (bool[N] y) <bool t = {1}, bool f = {0}> "
        "{ a = And(x, t) b = Or(f, a) c = Xor(b, f) y = Not(c) }",
        "(bool[N] x) => (bool[N] y) { y = Not(x) }",
    )


def test_the_mask_of_a_dropout_that_drops_nothing_is_all_true() -> None:
    assert_rewrites(
        PASS,
        "(float[2] x) => (float[2] y, bool[2] n) { a, m = Dropout(x) y = Abs(a) n = Not(m) }",
        "(float[2] x) => (float[2] y, bool[2] n) <bool[2] m = {1, 1}> { y = Abs(x) n = Not(m) }",
    )


def test_a_mask_of_unknown_shape_keeps_its_dropout() -> None:
    text = "(float[N] x) => (float[N] y, bool[N] m) { y, m = Dropout(x) }"
    assert_unchanged(PASS, text, reason="its mask is used")


def test_pairs_cancel_and_idempotent_operators_fold() -> None:
    assert_rewrites(
        PASS,
        "(float[N] x) => (float[N] y) { a = Neg(x) b = Neg(a) c = Relu(b) d = Relu(c) y = Abs(d) }",
        "(float[N] x) => (float[N] y) { c = Relu(x) y = Abs(c) }",
    )


def test_clips_with_different_bounds_are_two_clips() -> None:
    bounds = {name: np.array(value, np.float32) for name, value in {"a": 0, "b": 1, "c": 2, "d": 3}.items()}
    assert_unchanged(PASS, "(float[N] x) => (float[N] y) { t = Clip(x, a, b) y = Clip(t, c, d) }", bounds)


def test_an_input_that_is_an_output_keeps_both_names() -> None:
    graph = parse("(float[N] x) => (float[N] y, float[N] z) { y = Identity(x) z = Identity(x) }")
    run_passes(graph, [PASS])
    assert len(graph) == 0
    model = write_onnx(graph)
    assert [value.name for value in model.graph.input] == ["x"]
    assert [value.name for value in model.graph.output] == ["y", "z"]
