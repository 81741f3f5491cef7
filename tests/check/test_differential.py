"""Checks of models and of single rewrites: right rewrites pass, wrong ones do not."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from graphopt.check import Oracle, allowances, check_application, check_model, interpret
from graphopt.errors import InputError
from graphopt.frontend import read_onnx
from graphopt.ir import Graph
from graphopt.rewrite import Exactness


def parse(text: str) -> Graph:
    from onnx import parser, shape_inference

    header = '<ir_version: 10, opset_import: ["": 21, "com.microsoft": 1, "custom": 1]>\n g '
    return read_onnx(shape_inference.infer_shapes(parser.parse_model(header + text)))


EXACT_RIGHT = [
    ("(float[N] x) => (float[N] y) { a = Neg(x) y = Neg(a) }",
     "(float[N] x) => (float[N] y) { y = Identity(x) }"),
    ("(float[N] x, float[N] z) => (float[N] y) { y = Max(x, z) }",
     "(float[N] x, float[N] z) => (float[N] y) { y = Max(z, x) }"),
    # −(smallest int) is itself, on both sides
    ("(int32[N] x) => (int32[N] y) { y = Abs(x) }",
     "(int32[N] x) => (int32[N] y) { a = Neg(x) y = Max(a, x) }"),
    ("(float[N] x) => (float[N] y) { a = Relu(x) y = Relu(a) }",
     "(float[N] x) => (float[N] y) { y = Relu(x) }"),
]  # fmt: skip
EXACT_WRONG = [
    # x + 0 loses the sign of −0
    ("(float[N] x) => (float[N] y) <float z = {0.0}> { y = Add(x, z) }",
     "(float[N] x) => (float[N] y) { y = Identity(x) }"),
    # x · 0 is not 0 for NaN and infinities
    ("(float[N] x) => (float[N] y) <float z = {0.0}> { y = Mul(x, z) }",
     "(float[N] x) => (float[N] y) { y = Sub(x, x) }"),
    # relu and clip treat NaN differently when a minimum is written with Where
    ("(float[N] x) => (float[N] y) <float z = {0.0}> { y = Relu(x) }",
     "(float[N] x) => (float[N] y) <float z = {0.0}> { c = Greater(x, z) y = Where(c, x, z) }"),
    # truncation is not floor
    ("(int32[N] x) => (int32[N] y) <int32 two = {2}> { y = Div(x, two) }",
     "(int32[N] x) => (int32[N] y) <int32 two = {2}> { r = Mod(x, two) d = Sub(x, r) y = Div(d, two) }"),
    # a broadcast that a size of 1 hides
    ("(float[N, M] x) => (float[N, M] y) { y = Transpose<perm = [0, 1]>(x) }",
     "(float[N, M] x) => (float[N, M] y) { s = Shape(x) t = Transpose<perm = [1, 0]>(x) y = Reshape(t, s) }"),
]  # fmt: skip
ROUNDING_RIGHT = [
    # (x + a) + b = x + (a + b)
    ("(float[N] x) => (float[N] y) <float a = {1.1}, float b = {3.3}> { s = Add(x, a) y = Add(s, b) }",
     "(float[N] x) => (float[N] y) <float c = {4.4}> { y = Add(x, c) }"),
    # a scale moved through a product
    ("(float[N, 64] x, float[64, 5] w) => (float[N, 5] y) <float a = {0.3}> { s = Mul(x, a) y = MatMul(s, w) }",
     "(float[N, 64] x, float[64, 5] w) => (float[N, 5] y) <float a = {0.3}> { s = MatMul(x, w) y = Mul(s, a) }"),
    ("(float[N, 8] x) => (float[N, 8] y) { y = Softmax<axis = 1>(x) }",
     "(float[N, 8] x) => (float[N, 8] y) <int64[1] one = {1}>"
     " { m = ReduceMax(x, one) c = Sub(x, m) e = Exp(c) s = ReduceSum(e, one) y = Div(e, s) }"),
]  # fmt: skip
ROUNDING_WRONG = [
    # the last digit of a constant
    ("(float[N] x) => (float[N] y) <float a = {0.7978846}> { y = Mul(x, a) }",
     "(float[N] x) => (float[N] y) <float a = {0.79789}> { y = Mul(x, a) }"),
    # tanh-GELU for erf-GELU is an approximation, and more than rounding
    ("(float[N] x) => (float[N] y) { y = Gelu(x) }",
     '(float[N] x) => (float[N] y) { y = Gelu<approximate = "tanh">(x) }'),
    # an epsilon forgotten
    ("(float[N, 8] x, float[8] s) => (float[N, 8] y) { y = LayerNormalization<epsilon = 0.001>(x, s) }",
     "(float[N, 8] x, float[8] s) => (float[N, 8] y) { y = LayerNormalization<epsilon = 0.00001>(x, s) }"),
    # a softmax without its maximum overflows
    ("(float[N, 8] x) => (float[N, 8] y) <float k = {90.0}> { z = Mul(x, k) y = Softmax<axis = 1>(z) }",
     "(float[N, 8] x) => (float[N, 8] y) <float k = {90.0}, int64[1] one = {1}>"
     " { z = Mul(x, k) e = Exp(z) s = ReduceSum(e, one) y = Div(e, s) }"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), EXACT_RIGHT)
def test_an_exact_rewrite_passes(before: str, after: str) -> None:
    assert check_application(parse(before), parse(after), Exactness.EXACT).passed


@pytest.mark.parametrize(("before", "after"), EXACT_WRONG)
def test_a_rewrite_that_is_wrong_at_the_ends_of_its_type_is_found(before: str, after: str) -> None:
    report = check_application(parse(before), parse(after), Exactness.EXACT)
    assert not report.passed
    assert report.worst is not None
    assert "became" in str(report)


@pytest.mark.parametrize(("before", "after"), ROUNDING_RIGHT)
def test_a_rewrite_that_only_rounds_differently_passes(before: str, after: str) -> None:
    assert (report := check_application(parse(before), parse(after), Exactness.REASSOCIATE)).passed, report
    assert not check_application(parse(before), parse(after), Exactness.EXACT).passed


@pytest.mark.parametrize(("before", "after"), ROUNDING_WRONG)
def test_a_rewrite_that_is_off_by_more_than_rounding_is_found(before: str, after: str) -> None:
    assert not check_application(parse(before), parse(after), Exactness.REASSOCIATE).passed


def naive_product(k: int) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    def run(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        total = np.zeros((len(feeds["x"]), feeds["w"].shape[1]), np.float32)
        for i in range(k):  # the worst order there is: one float32 sum, term by term
            total += feeds["x"][:, i, None] * feeds["w"][i]
        return {"y": total}

    return run


@pytest.mark.parametrize("k", [16, 512])
def test_the_allowance_covers_a_naive_sum_and_little_more(k: int) -> None:
    graph = parse(f"(float[20, {k}] x, float[{k}, 20] w) => (float[20, 20] y) {{ y = MatMul(x, w) }}")
    rng = np.random.default_rng(0)
    feeds = {"x": rng.random((20, k), np.float32), "w": rng.random((k, 20), np.float32)}
    assert check_model(graph, naive_product(k), [feeds]).passed  # pyright: ignore[reportArgumentType]  # dict for Mapping
    expected = interpret(graph, feeds)
    allowed = allowances(graph, feeds, expected)["y"]
    assert allowed is not None
    relative = float(np.max(allowed) / np.max(expected["y"]))
    unit = float(np.finfo(np.float32).eps) / 2
    assert unit < relative < 4 * 6 * unit * np.sqrt(k + 1)


def test_where_rounding_decides_a_result_the_check_knows_it() -> None:
    graph = parse("(float[2] x) => (int64[1] i) <float a = {1.0}> { y = Add(x, a) i = ArgMax<axis = 0>(y) }")
    close = {"x": np.array([1e-9, 2e-9], np.float32)}
    clear = {"x": np.array([1.0, 2.0], np.float32)}
    other = lambda feeds: {"i": 1 - interpret(graph, feeds)["i"]}  # noqa: E731
    assert check_model(graph, other, [close]).passed
    assert not check_model(graph, other, [clear]).passed


def test_a_candidate_that_fails_where_the_reference_runs_is_a_failure() -> None:
    before = parse("(float[N] x) => (float[N] y) { y = Relu(x) }")
    after = parse("(float[3] x) => (float[3] y) { y = Relu(x) }")
    report = check_model(before, after)
    assert not report.passed
    assert "float32[3]" in report.failures[0]


def test_nothing_checked_is_not_a_pass() -> None:
    graph = parse("(float[N] x) => (float[N] y) { y = custom.Gadget(x) }")
    assert not (report := check_model(graph, graph)).passed
    assert "custom::Gadget" in str(report)


def test_a_report_is_plain_data() -> None:
    report = check_application(parse(EXACT_WRONG[0][0]), parse(EXACT_WRONG[0][1]))
    data = json.loads(json.dumps(report.to_json()))
    assert data["passed"] is False
    assert data["wrong"][0]["kind"] == "zero"


def test_a_region_that_reads_what_the_old_one_does_not_have_is_refused() -> None:
    before = parse("(float[N] x) => (float[N] y) { y = Relu(x) }")
    after = parse("(float[N] x, float[N] z) => (float[N] y) { y = Relu(z) }")
    with pytest.raises(InputError, match="'z'"):
        check_application(before, after)


def test_an_oracle_computes_once_for_many_candidates() -> None:
    oracle = Oracle(parse("(float[N] x) => (float[N] y) { y = Exp(x) }"))
    feeds = {"x": np.array([1, 2], np.float32)}
    assert oracle.expected(feeds) is oracle.expected(feeds)
    assert oracle.compare(feeds, {"y": np.exp(feeds["x"])})["y"].agrees
    assert oracle.compare(feeds, {"y": np.exp(feeds["x"]) * np.float32(1.00001)})["y"].kind == "value"
