"""fuse-conv-batchnorm: what goes into a convolution, and why something does not."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.frontend import write_onnx
from graphopt.passes import FuseConvBatchNorm
from graphopt.rewrite import Exactness, run_passes
from graphopt.testing.rewrites import assert_rewrites, assert_unchanged, parse

PASS = FuseConvBatchNorm()
RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def statistics(channels: int) -> dict[str, np.ndarray]:
    return {
        "s": normal(channels),
        "b": normal(channels),
        "m": normal(channels),
        "v": np.abs(normal(channels)),
    }


@pytest.mark.parametrize(
    ("conv", "weight"),
    [
        ("Conv<pads=[1,1,1,1]>(x, w)", (6, 4, 3, 3)),
        ("Conv<pads=[1,1,1,1]>(x, w, bias)", (6, 4, 3, 3)),
        ("Conv<group=2>(x, w)", (6, 2, 3, 3)),
        ('Conv<auto_pad="SAME_UPPER", strides=[2,2]>(x, w, bias)', (6, 4, 3, 3)),
        ("ConvTranspose(x, w)", (4, 6, 3, 3)),
    ],
)
def test_a_batchnorm_goes_into_the_convolution_before_it(conv: str, weight: tuple[int, ...]) -> None:
    bare = conv.replace(", bias", "")
    tensors = {"w": normal(*weight), **statistics(6)} | ({"bias": normal(6)} if "bias" in conv else {})
    before = f"(float[N,4,7,5] x) => (y) {{ c = {conv} d = BatchNormalization(c, s, b, m, v) y = Relu(d) }}"
    after = f"(float[N,4,7,5] x) => (y) {{ d = {bare.replace('w)', 'w, b)')} y = Relu(d) }}"
    report = assert_rewrites(PASS, before, after, tensors, elements=False)
    assert report.counts == {"fuse-conv-affine": 1}


def test_a_grouped_transposed_convolution_scales_the_channels_of_each_group() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")  # onnx.reference cannot run one with a bias
    tensors = {"w": normal(4, 3, 3, 3), "bias": normal(6), **statistics(6)}
    text = """(float[1,4,7,5] x) => (y)
        { c = ConvTranspose<group=2>(x, w, bias) y = BatchNormalization(c, s, b, m, v) }"""
    before, after = parse(text, tensors), parse(text, tensors)
    run_passes(after, [PASS])
    assert [node.op for node in after.nodes()] == ["ConvTranspose"]
    feeds = {"x": normal(1, 4, 7, 5)}
    models = [write_onnx(graph).SerializeToString() for graph in (before, after)]
    wanted, got = (onnxruntime.InferenceSession(model).run(None, feeds)[0] for model in models)
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("operators", "constant"),
    [
        ("Mul(c, k)", normal(6, 1, 1)),
        ("Mul(k, c)", normal(1, 6, 1, 1)),
        ("Add(c, k)", normal(1, 6, 1, 1)),
        ("Add(c, k)", normal(1)),
        ("Sub(c, k)", normal(6, 1, 1)),
        ("Div(c, k)", np.float32(3.0)),
    ],
)
def test_a_constant_per_channel_goes_into_the_convolution(operators: str, constant: np.ndarray) -> None:
    tensors = {"w": normal(6, 4, 1, 1), "k": np.asarray(constant), "b": normal(6)}
    before = f"(float[N,4,3,3] x) => (y) {{ c = Conv(x, w) d = {operators} y = Relu(d) }}"
    after = "(float[N,4,3,3] x) => (y) { d = Conv(x, w, b) y = Relu(d) }"
    assert_rewrites(PASS, before, after, tensors, elements=False)


def test_a_chain_of_scales_and_shifts_goes_in_one_after_the_other() -> None:
    tensors = {"w": normal(6, 4, 1, 1), "k": normal(6, 1, 1), "b": normal(6), **statistics(6)}
    before = """(float[N,4,3,3] x) => (y) {
        c = Conv(x, w) d = Mul(c, k) e = Add(d, k) f = BatchNormalization(e, s, b, m, v) y = Relu(f) }"""
    after = "(float[N,4,3,3] x) => (y) { d = Conv(x, w, b) y = Relu(d) }"
    assert_rewrites(PASS, before, after, tensors, elements=False)


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ("c = Conv(x, w) y = Mul(c, last_axis)", "the constant [4] is not per-channel"),
        ("c = Conv(x, w) y = Mul(c, wide)", "is not per-channel"),
        ("c = Conv(x, w) y = Mul(c, deep)", "is not per-channel"),
        ("c = Conv(x, w) y = Mul(c, x)", "is not constant"),
        ("c = Conv(x, w) y = Div(c, zero)", "it divides by zero"),
        ("c = Conv(x, w) y = Mul(c, infinite)", "not finite"),
        ("c = Conv(x, w) y = Mul(c, zero)", "infinity times 0 is NaN"),
        ("c = Conv(x, w) d = Mul(c, half) y = Add(d, c)", "is used elsewhere"),
        ("c = Conv(x, x) y = Mul(c, half)", "the weight of the convolution is not constant"),
        ("c = Conv(x, w, bias) y = Mul(c, half)", "the bias of the convolution is not constant"),
        ("c = Conv(x, w) y = BatchNormalization(c, s, b, m, negative)", "not positive"),
        ("c = Conv(x, w) y, p, q = BatchNormalization<training_mode=1>(c, s, b, m, v)", "it is training"),
        ("c = Conv(x, w) y = BatchNormalization(c, s, b, bias, v)", "not all constant"),
    ],
)
def test_a_convolution_is_left_alone(nodes: str, reason: str) -> None:
    tensors = {
        "w": normal(4, 4, 1, 1),
        "last_axis": normal(4),
        "wide": normal(4, 1, 1, 1),
        "deep": normal(1, 1, 4, 1, 1),
        "zero": np.zeros((4, 1, 1), np.float32),
        "infinite": np.full((4, 1, 1), np.inf, np.float32),
        "half": np.full((4, 1, 1), 0.5, np.float32),
        "negative": np.full(4, -1, np.float32),
        **statistics(4),
    }
    assert_unchanged(PASS, f"(float[4,4,4,4] x, float[4] bias) => (y) {{ {nodes} }}", tensors, reason=reason)


def test_a_convolution_that_is_an_output_is_left_alone() -> None:
    text = "(float[N,4,3,3] x) => (c, y) { c = Conv(x, w) y = Mul(c, half) }"
    tensors = {"w": normal(4, 4, 1, 1), "half": np.full((4, 1, 1), 0.5, np.float32)}
    assert_unchanged(PASS, text, tensors, reason="is used elsewhere")


def test_a_large_weight_that_is_shared_is_not_written_twice() -> None:
    text = "(float[N,64,3,3] x) => (y, z) { c = Conv(x, w) d = Conv(d0, w) d0 = Relu(x) y = Mul(c, half) z = Neg(d) }"
    tensors = {"w": normal(64, 64, 3, 3), "half": np.full((64, 1, 1), 0.5, np.float32)}
    text = text.replace("d = Conv(d0, w) d0 = Relu(x)", "d0 = Relu(x) d = Conv(d0, w)")
    assert_unchanged(PASS, text, tensors, reason="its weight is shared")


def test_an_overridable_weight_is_not_a_constant() -> None:
    text = "(float[N,1,3,3] x, float[1,1,1,1] w = {2}) => (y) <float half = {0.5}> { c = Conv(x, w) y = Mul(c, half) }"
    assert_unchanged(PASS, text, reason="the weight of the convolution is not constant")


def test_nothing_is_fused_at_the_exact_level() -> None:
    text = "(float[N,4,3,3] x) => (y) { c = Conv(x, w) y = Mul(c, half) }"
    tensors = {"w": normal(4, 4, 1, 1), "half": np.full((4, 1, 1), 0.5, np.float32)}
    assert_unchanged(PASS, text, tensors, level=Exactness.EXACT)


def test_a_fused_node_says_where_it_comes_from() -> None:
    text = "(float[N,4,3,3] x) => (y) { [conv_7] c = Conv(x, w) [scale_8] y = Mul(c, half) }"
    graph = parse(text, {"w": normal(4, 4, 1, 1), "half": np.full((4, 1, 1), 0.5, np.float32)})
    run_passes(graph, [PASS])
    (conv,) = graph.nodes()
    assert (conv.name, conv.source, conv.rules) == ("conv_7", ("conv_7", "scale_8"), ("fuse-conv-affine",))
