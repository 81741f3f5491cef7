"""com.microsoft's operators that ONNX Runtime's CPU provider lacks, against the formula of their documentation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from graphopt.check import run_call
from graphopt.errors import MisfitError
from graphopt.ops.table import Call, shape_rule_of

RNG = np.random.default_rng(5)


def run(op: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
    assert shape_rule_of(op, "com.microsoft") is not None
    made = run_call(Call(op, "com.microsoft", 1, attributes, inputs, outputs))
    return made[0] if outputs == 1 else made


def f(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def close(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def softmax(x: np.ndarray, axis: Any = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def gelu(x: np.ndarray) -> np.ndarray:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def test_biases_before_other_operators() -> None:
    x, b, skip = f(2, 3, 4), f(4), f(2, 3, 4)
    close(run("BiasAdd", x, b, skip), x + b + skip)
    left, right = (x + b)[..., :2], (x + b)[..., 2:]
    close(run("BiasSplitGelu", x, b), left * gelu(right))
    w, out = f(4, 5), f(5)
    y = x @ w + out
    close(run("GemmFastGelu", x, w, out), 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3))))


@pytest.mark.parametrize(
    ("bias", "inner"), [((2, 1, 1, 5), 0), ((1, 1, 4, 5), 0), ((5,), 0), ((2, 5), 1), ((2, 3, 5), 1)]
)
def test_a_bias_before_softmax(bias: tuple[int, ...], inner: int) -> None:
    """Where `is_inner_broadcast` is 1, what the bias lacks are the axes before `axis`."""
    x, b = f(2, 3, 4, 5), f(*bias)
    full = b.reshape(*bias[:-1], *[1] * (4 - len(bias)), 5) if inner else b
    close(run("BiasSoftmax", x, b, axis=3, is_inner_broadcast=inner), softmax(x + full))


@pytest.mark.parametrize("last", [0, 1])
@pytest.mark.parametrize("activation", [0, 1])
def test_group_norm(last: int, activation: int) -> None:
    x, gamma, beta = f(2, 4, 3, 5), f(4), f(4)
    parts = x.reshape(2, 2, -1).astype(np.float64)
    plain = (parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + 1e-3)
    want = plain.reshape(x.shape) * gamma[:, None, None] + beta[:, None, None]
    want = silu(want) if activation else want
    given = np.moveaxis(x, 1, -1) if last else x
    got = run("GroupNorm", given, gamma, beta, channels_last=last, activation=activation, groups=2, epsilon=1e-3)
    close(got, np.moveaxis(want, 1, -1) if last else want)


@pytest.mark.parametrize("skip", [(2, 3, 5, 4), (2, 1, 1, 4), (2, 4)])
def test_group_norm_of_a_sum(skip: tuple[int, ...]) -> None:
    x, gamma, beta, bias, more = f(2, 3, 5, 4), f(4), f(4), f(4), f(*skip)
    total = x + more.reshape(2, 1, 1, 4) + bias if len(skip) == 2 else x + more + bias
    y, s = run("SkipGroupNorm", x, gamma, beta, more, bias, outputs=2, activation=0, groups=2)
    close(s, total)
    close(y, run("GroupNorm", total, gamma, beta, activation=0, groups=2))


def test_convolutions_of_data_whose_channels_lie_last() -> None:
    x, w, b, added = f(1, 3, 6, 5), f(4, 3, 2, 3), f(4), f(1, 4, 5, 3)
    (want,) = run_call(Call("Conv", "", 17, {}, (x, w, b), 1))
    close(run("NhwcConv", np.moveaxis(x, 1, -1), w, b), np.moveaxis(want, 1, -1))
    got = run("NhwcFusedConv", np.moveaxis(x, 1, -1), w, b, np.moveaxis(added, 1, -1), activation="Relu")
    close(got, np.moveaxis(np.maximum(want + added, 0), 1, -1))


def test_a_product_with_an_activation() -> None:
    a, b = f(2, 4, 3), f(2, 4, 5)
    got = run("FusedMatMulActivation", a, b, transA=1, alpha=0.5, activation="LeakyRelu", activation_alpha=0.1)
    y = np.swapaxes(a, 1, 2) @ b * 0.5
    close(got, np.where(y < 0, 0.1 * y, y))
    with pytest.raises(MisfitError, match="the activation 'Frob' is not known"):
        run("FusedMatMulActivation", a, b, transA=1, activation="Frob")


@pytest.mark.parametrize("keep", [0, 1])
def test_a_mean_of_quantised_numbers(keep: int) -> None:
    x = RNG.integers(0, 256, (2, 3, 8)).astype(np.uint8)
    got = run(
        "QLinearReduceMean", x, np.float32(0.5), np.uint8(7), np.float32(0.25), np.uint8(9), axes=(-1,), keepdims=keep
    )
    want = np.rint(((x.astype(float) - 7) * 0.5).mean(-1, keepdims=bool(keep)) / 0.25) + 9
    assert got.tolist() == np.clip(want, 0, 255).tolist()


def test_eight_bit_weights_with_zero_points_that_are_floats() -> None:
    a, packed = f(2, 16), RNG.integers(0, 256, (3, 1, 16)).astype(np.uint8)
    scales, zeros = f(3, 1), f(3, 1)
    close(run("MatMulNBits", a, packed, scales, zeros, K=16, N=3, bits=8, block_size=16),
          a.astype(float) @ ((packed[:, 0].astype(float) - zeros) * scales).T)  # fmt: skip


def test_groups_of_weights_in_any_order() -> None:
    a, packed = f(2, 32), RNG.integers(0, 256, (3, 2, 8)).astype(np.uint8)
    scales, groups = f(3, 2), RNG.permutation(np.repeat([0, 1], 16)).astype(np.int32)
    numbers = np.stack([packed & 15, packed >> 4], axis=-1).reshape(3, 32).astype(np.float32)
    weights = (numbers - 8) * scales[:, groups]
    close(run("MatMulNBits", a, packed, scales, None, groups, K=32, N=3, bits=4, block_size=16), a @ weights.T)


def test_a_projection_without_weights_gives_the_bias() -> None:
    empty = np.zeros((3, 0, 8), np.uint8)
    got = run("MatMulNBits", f(2, 32), empty, np.zeros((3, 0), "f"), None, None, f(3) * 0 + 2, K=32, N=3, block_size=16)
    assert got.tolist() == [[2, 2, 2]] * 2


@pytest.mark.parametrize("axis", [0, 1])
def test_a_look_up_in_rows_of_four_bits(axis: int) -> None:
    import ml_dtypes

    data = RNG.integers(-8, 8, (4, 32)).astype(ml_dtypes.int4)
    scales, zeros = f(4, 2), RNG.integers(-8, 8, (4, 2)).astype(ml_dtypes.int4)
    table = (data.astype(np.float32) - np.repeat(zeros.astype(np.float32), 16, 1)) * np.repeat(scales, 16, 1)
    got = run("GatherBlockQuantized", data, np.array([3, 9]), scales, zeros, gather_axis=axis, block_size=16)
    want = table[:, [3, 9]] if axis else np.stack([table[3], np.zeros(32, "f")])  # nothing lies at 9
    close(got, want)


def test_attention_of_sequences_packed_after_each_other() -> None:
    x, w, b = f(7, 5), f(5, 12), f(12)
    ends, offsets = np.array([0, 3, 7], np.int32), np.arange(8, dtype=np.int32).reshape(2, 4)
    got = run("PackedAttention", x, w, b, offsets, ends, num_heads=2)
    alone = [run("Attention", x[None, i:j], w, b, num_heads=2)[0] for i, j in ((0, 3), (3, 7))]
    close(got, np.concatenate(alone))


def test_packed_queries_keys_and_values_are_those_beside_each_other() -> None:
    q, k, v = (f(2, 3, 8) for _ in range(3))
    packed = np.stack([x.reshape(2, 3, 2, 4) for x in (q, k, v)], axis=3)
    want = run("MultiHeadAttention", q, k, v, num_heads=2)
    close(run("MultiHeadAttention", packed, num_heads=2), want)
    close(run("MultiHeadAttention", q, packed[:, :, :, 1:].copy(), num_heads=2), want)


def test_a_decoder_attends_as_many_heads_do() -> None:
    q, k, v, past = f(2, 1, 8), f(2, 1, 8), f(2, 1, 8), [f(2, 2, 3, 4) for _ in range(2)]
    want = run("MultiHeadAttention", q, k, v, None, None, None, *past, num_heads=2, outputs=3)
    got = run("DecoderMaskedMultiHeadAttention", q, k, v, None, None, *past, num_heads=2, outputs=3)
    for have, expected in zip(got[:3], want[:3], strict=True):
        close(have, expected)


def test_a_chunk_with_padding_is_the_chunk_without_it() -> None:
    """`query_seqlens` says how much of it counts; each sequence has a length of its own."""
    shape = {"num_heads": 2, "kv_num_heads": 1}
    q, k, v = f(2, 3, 8), f(2, 3, 4), f(2, 3, 4)
    past = [f(2, 1, 6, 4) for _ in range(2)]
    lengths, new, most = np.array([4, 2], np.int32), np.array([2, 3], np.int32), np.array(6, np.int32)
    inputs = [q, k, v, *past, lengths, most, *[None] * 9, new]
    y, keys, _ = run("GroupQueryAttention", *inputs, outputs=3, **shape)[:3]
    for row, (total, count) in enumerate(zip(lengths + 1, new, strict=True)):
        start = total - count
        alone = [x[row : row + 1, :count] for x in (q, k, v)] + [p[row : row + 1, :, :start] for p in past]
        alone += [np.array([total - 1], np.int32), np.array(total, np.int32)]
        want, present, _ = run("GroupQueryAttention", *alone, outputs=3, **shape)[:3]
        close(y[row, :count], want[0])
        close(keys[row, :, :total], present[0])


def test_queries_and_keys_are_normalised_before_they_attend() -> None:
    q, k, v = f(1, 3, 8), f(1, 3, 4), f(1, 3, 4)
    ones, lengths, most = np.ones(4, "f"), np.array([2], np.int32), np.array(3, np.int32)
    got = run("GroupQueryAttention", q, k, v, None, None, lengths, most, *[None] * 7, ones, 2 * ones,
              num_heads=2, kv_num_heads=1)  # fmt: skip
    flat = [x.reshape(1, 3, -1, 4) for x in (q, k)]
    unit = [(x / np.sqrt(np.square(x).mean(-1, keepdims=True) + 1e-6)).reshape(1, 3, -1) for x in flat]
    plain = [unit[0], 2 * unit[1], v, None, None, lengths, most]
    close(got, run("GroupQueryAttention", *plain, num_heads=2, kv_num_heads=1))


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "says"),
    [
        ("Attention", [f(1, 2, 4), f(4, 12)], {"num_heads": 2, "do_rotary": 1}, "do_rotary"),
        ("Attention", [f(1, 2, 4), f(4, 12)], {"num_heads": 2, "past_present_share_buffer": 1}, "share"),
        ("MatMulNBits", [f(1, 16), np.zeros((1, 1, 8), np.uint8), f(1, 1)],
         {"K": 16, "N": 1, "block_size": 16, "weight_prepacked": 1}, "weight_prepacked"),
        ("CDist", [f(2, 3), f(2, 3)], {"metric": "cosine"}, "cosine"),
        ("GroupQueryAttention", [f(1, 1, 4), f(1, 1, 4), f(1, 1, 4), None, None, np.array([3], np.int32), np.int32(4)],
         {"num_heads": 1, "kv_num_heads": 1}, "do not follow the cache"),
        ("GroupQueryAttention", [f(1, 1, 4), f(1, 1, 4), f(1, 1, 4), None, None, np.array([0], np.int32), np.int32(1),
                                 f(3, 2), f(3, 2), np.array([[3]])],
         {"num_heads": 1, "kv_num_heads": 1, "do_rotary": 1}, "position_ids must lie from 0 to 2"),
        ("Inverse", [np.zeros((2, 2), np.float32)], {}, "no inverse"),
        ("Tokenizer", [np.array(["a"], object)],
         {"tokenexp": "(", "mincharnum": 1, "pad_value": "", "mark": 0}, "'\\('"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(op: str, inputs: list[Any], attributes: dict[str, Any], says: str) -> None:
    with pytest.raises(MisfitError, match=says):
        run(op, *inputs, **attributes)
