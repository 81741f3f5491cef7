"""Applications of com.microsoft's operators that fit, as a table of several attributes and shapes each.

They are what ONNX Runtime writes when it optimises, quantises or exports a model.

8-bit weights have seven bits in a product: without VNNI, ONNX Runtime's sums of two such products overflow 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class Case:
    """One application: operator, operands (None for one left out), attributes, how many outputs."""

    op: str
    inputs: Sequence[Any]
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    outputs: int = 1
    steps: int = 0
    """By how many an integer may differ."""
    tolerance: float = 2e-5
    domain: str = DOMAIN
    compared: tuple[int, ...] = ()
    """Outputs that are compared; all of them if none is named."""

    def __str__(self) -> str:
        shapes = "-".join("x".join(map(str, np.shape(x))) or "scalar" for x in self.inputs if x is not None)
        words = "-".join(f"{k}={v}" for k, v in self.attributes.items())
        return f"{self.op}-{shapes[:60]}-{words[:80]}".replace(" ", "")


def cases() -> list[Case]:
    """All of them; the same ones at each call."""
    return [case for family in (_fused, _quantised, _weights, _normalised, _attention, _grouped, _arrays, _text, _old)
            for case in family(Draw(np.random.default_rng(11)))]  # fmt: skip


@dataclass(frozen=True)
class Draw:
    """Arrays from one generator."""

    rng: np.random.Generator

    def f(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(np.float32)

    def u8(self, *shape: int) -> np.ndarray:
        return self.rng.integers(0, 256, shape).astype(np.uint8)

    def i8(self, *shape: int) -> np.ndarray:
        return self.rng.integers(-128, 128, shape).astype(np.int8)

    def bits(self, dtype: Any, *shape: int) -> np.ndarray:
        return self.u8(*shape) if dtype is np.uint8 else self.i8(*shape)

    def below(self, n: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, n, shape)


def _s(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def _z(dtype: Any, value: int) -> np.ndarray:
    return np.array(value if dtype is np.uint8 else value - 128, dtype)


def _fused(d: Draw) -> Iterator[Case]:
    x, w, b = d.f(1, 4, 6, 7), d.f(6, 4, 3, 3), d.f(6)
    for activation, parameters in (
        ("Relu", None), ("Tanh", None), ("Sigmoid", None), ("LeakyRelu", [0.2]), ("Clip", [-0.5, 1.5]),
        ("HardSigmoid", [0.3, 0.4]),
    ):  # fmt: skip
        more: dict[str, Any] = {"activation": activation} | ({"activation_params": parameters} if parameters else {})
        yield Case("FusedConv", [x, w, b], {**more, "pads": [1, 0, 1, 2], "strides": [2, 1]})
    yield Case("FusedConv", [x, w, b, d.f(1, 6, 4, 5)], {"activation": "Relu"})
    yield Case("FusedConv", [x, d.f(4, 1, 2, 2)], {"activation": "Relu", "group": 4, "auto_pad": "SAME_UPPER"})
    yield Case("FusedConv", [d.f(2, 3, 9), d.f(2, 3, 4), d.f(2)], {"activation": "Sigmoid", "dilations": [2]})
    for activation, more in (("Relu", {}), ("Tanh", {}), ("Sigmoid", {}), ("LeakyRelu", {"activation_alpha": 0.3})):
        yield Case("FusedGemm", [d.f(3, 4), d.f(4, 5), d.f(5)], {"activation": activation, **more})
    yield Case("FusedGemm", [d.f(4, 3), d.f(5, 4)], {"activation": "Relu", "transA": 1, "transB": 1, "alpha": 0.5})
    yield Case("FusedGemm", [d.f(3, 4), d.f(4, 5), d.f(3, 1)], {"activation": "Relu", "beta": 2.0})
    for op in ("FusedMatMul", "TransposeMatMul"):
        yield Case(op, [d.f(2, 3, 4), d.f(4, 5)])
        yield Case(op, [d.f(2, 4, 3), d.f(2, 5, 4)], {"transA": 1, "transB": 1, "alpha": 0.25})
    yield Case("FusedMatMul", [d.f(4, 2, 3), d.f(3, 2, 5)], {"transBatchA": 1, "transBatchB": 1})
    yield Case("NhwcMaxPool", [d.i8(1, 6, 7, 3)], {"kernel_shape": [2, 3], "strides": [2, 1], "pads": [0, 1, 1, 1]})
    yield Case("NhwcMaxPool", [d.u8(2, 5, 5, 2)], {"kernel_shape": [3, 3], "ceil_mode": 1, "strides": [2, 2]})
    yield Case("BiasGelu", [d.f(2, 3, 4), d.f(4)])
    yield Case("FastGelu", [d.f(2, 3, 4), d.f(4)], tolerance=2e-4)
    yield Case("FastGelu", [d.f(5)], tolerance=2e-4)
    yield Case("Gelu", [d.f(2, 5)])
    yield Case("QuickGelu", [d.f(2, 5)], {"alpha": 1.5})
    yield Case("QuickGelu", [d.f(2, 5)])


def _quantised(d: Draw) -> Iterator[Case]:
    for dtype in (np.uint8, np.int8):
        x, y = d.bits(dtype, 2, 3, 4), d.bits(dtype, 3, 1)
        q = (_s(0.04), _z(dtype, 120))
        for op in ("QLinearAdd", "QLinearMul"):
            yield Case(op, [x, *q, y, _s(0.03), _z(dtype, 130), _s(0.09), _z(dtype, 99)], steps=1)
            yield Case(op, [x, *q, d.bits(dtype), _s(0.03), _z(dtype, 130), _s(0.2), _z(dtype, 128)], steps=1)
            yield Case(op, [d.bits(dtype, 3, 1), *q, x, _s(0.03), _z(dtype, 130), _s(0.2), _z(dtype, 128)], steps=1)
        yield Case("QLinearSigmoid", [x, *q, _s(1 / 256), _z(dtype, 0)], steps=1)
        yield Case("QLinearLeakyRelu", [x, *q, _s(0.03), _z(dtype, 90)], {"alpha": 0.1}, steps=1)
        yield Case("QLinearSoftmax", [x, *q, _s(1 / 256), _z(dtype, 0)], {"axis": -1, "opset": 13}, steps=1)
        yield Case("QLinearSoftmax", [x, *q, _s(1 / 256), _z(dtype, 0)], {"axis": 1, "opset": 11}, steps=1)
        yield Case("QLinearSoftmax", [x, *q, _s(1 / 256), _z(dtype, 0)], {"axis": 1, "opset": 13}, steps=1)
        image = d.bits(dtype, 2, 3, 6, 7)
        out = (_s(0.05), _z(dtype, 100))
        yield Case("QLinearGlobalAveragePool", [image, *q, *out], steps=1)
        yield Case("QLinearGlobalAveragePool", [image, *q, *out], {"channels_last": 1}, steps=1)
        pool: dict[str, Any] = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
        for more in ({}, {"count_include_pad": 1}, {"channels_last": 1}, {"ceil_mode": 1}):
            yield Case("QLinearAveragePool", [image, *q, *out], pool | more, steps=1)
        parts = [d.bits(dtype, 2, 1, 4), *q, d.bits(dtype, 2, 3, 4), _s(0.07), _z(dtype, 140)]
        yield Case("QLinearConcat", [*out, *parts], {"axis": 1}, steps=1)
        yield Case("QLinearConcat", [*q, *parts[:3], *parts[:3]], {"axis": -1})
        condition = d.below(2, 3, 4).astype(bool)
        yield Case("QLinearWhere", [condition, x, *q, y, _s(0.07), _z(dtype, 140), *out], steps=1)
        yield from _quantised_products(d, dtype)


def _quantised_products(d: Draw, dtype: Any) -> Iterator[Case]:
    out = (_s(0.9), _z(dtype, 128))
    a, b, bias = d.bits(dtype, 3, 4), d.i8(4, 5) // 2, d.below(1000, 5).astype(np.int32)
    scale, zeros = d.rng.uniform(0.01, 0.1, 5).astype(np.float32), np.zeros(5, np.int8)
    fixed = [a, _s(0.05), _z(dtype, 131), b, _s(0.02), np.array(0, np.int8)]
    yield Case("QGemm", [*fixed, bias, *out])
    yield Case("QGemm", [*fixed, bias])
    yield Case("QGemm", [*fixed, None, *out], {"alpha": 0.5})
    yield Case("QGemm", [*fixed[:4], scale, zeros, bias, *out])
    yield Case("QGemm", [a.T.copy(), *fixed[1:3], b.T.copy(), scale, zeros, bias], {"transA": 1, "transB": 1})
    x, w = d.bits(dtype, 1, 6, 7, 4), d.i8(6, 4, 3, 3) // 2
    zero = (_s(0.05), _z(dtype, 131))
    yield Case(
        "QLinearConv",
        [x, *zero, w, _s(0.02), np.array(0, np.int8), *out, d.below(500, 6).astype(np.int32)],
        {"channels_last": 1, "pads": [1, 1, 1, 1], "strides": [2, 2], "kernel_shape": [3, 3]},
    )
    yield Case("DynamicQuantizeMatMul", [d.f(3, 4), b, scale, zeros, d.f(5)], tolerance=1e-4)
    yield Case("DynamicQuantizeMatMul", [d.f(2, 3, 4), d.u8(4, 5), _s(0.02), np.array(120, np.uint8)], tolerance=1e-4)
    if dtype is np.uint8:
        yield Case("MatMulIntegerToFloat", [a, b, _s(0.05), scale, _z(dtype, 9), zeros, d.f(5)], tolerance=1e-4)


def _weights(d: Draw) -> Iterator[Case]:
    for bits in (2, 4, 8):
        for columns, block, rows in ((32, 16, 3), (40, 32, 5)):
            blocks = -(-columns // block)
            packed = d.u8(rows, blocks, block * bits // 8)
            scales = d.rng.uniform(0.1, 1, (rows, blocks)).astype(np.float32)
            more: dict[str, Any] = {"K": columns, "N": rows, "bits": bits, "block_size": block}
            a = d.f(2, 3, columns)
            near = 1e-3 if bits == 8 else 1e-4
            yield Case("MatMulNBits", [a, packed, scales], more, tolerance=near)
            zeros = d.u8(rows, -(-blocks * bits // 8))
            yield Case("MatMulNBits", [a, packed, scales, zeros], more, tolerance=near)
            yield Case("MatMulNBits", [a[0], packed, scales, zeros, None, d.f(rows)], more, tolerance=near)
            if bits < 8:
                yield Case("MatMulNBits", [a, packed, scales, d.f(rows, blocks)], more, tolerance=near)
    for quant_type in (0, 1):
        rows, columns = 5, 32
        packed, largest = d.u8(rows * columns // 2), d.rng.uniform(0.1, 1, rows * 2).astype(np.float32)
        more = {"K": columns, "N": rows, "block_size": 16, "quant_type": quant_type}
        yield Case("MatMulBnb4", [d.f(2, columns), packed, largest], more, tolerance=1e-4)
    for bits in (4, 8):
        data, scales = d.u8(6, 32 * bits // 8), d.rng.uniform(0.1, 1, (6, 2)).astype(np.float32)
        more = {"bits": bits, "block_size": 16, "quantize_axis": 1, "gather_axis": 0}
        yield Case("GatherBlockQuantized", [data, np.array([[0, 5], [3, -1]]), scales], more)
        yield Case("GatherBlockQuantized", [data, np.array([1, 2]), scales, d.u8(6, 2 * bits // 8)], more)


def _normalised(d: Draw) -> Iterator[Case]:
    x = d.f(2, 3, 8)
    yield Case("SimplifiedLayerNormalization", [x, d.f(8)], {"epsilon": 1e-3, "axis": -1}, 2, domain="")
    yield Case("SimplifiedLayerNormalization", [x, d.f(3, 8)], {"axis": 1}, 1, domain="")
    for skip in (x, d.f(1, 3, 8), d.f(3, 8)):
        row = [d.f(8) for _ in range(3)]
        compared = (0, 3)
        yield Case("SkipLayerNormalization", [x, skip, *row], {"epsilon": 1e-5}, 4, compared=compared)
        yield Case("SkipLayerNormalization", [x, skip, *row[:2]])
        yield Case("SkipSimplifiedLayerNormalization", [x, skip, *row[:2]], {"epsilon": 1e-5}, 4, compared=compared)
    words, kinds = d.below(10, 2, 3).astype(np.int32), d.below(2, 2, 3).astype(np.int32)
    tables = [d.f(10, 8), d.f(5, 8), d.f(2, 8), d.f(8), d.f(8)]
    mask = np.array([[1, 1, 0], [1, 1, 1]], np.int32)
    places = np.array([[2, 0, 4], [1, 1, 3]], np.int32)
    yield Case("EmbedLayerNormalization", [words, kinds, *tables, mask], {"epsilon": 1e-5}, 3)
    yield Case("EmbedLayerNormalization", [words, None, *tables[:2], None, *tables[3:]], {}, 2)
    yield Case("EmbedLayerNormalization", [words, kinds, *tables, None, places], {}, 2)
    yield Case("EmbedLayerNormalization", [words, kinds, *tables, mask, places[:1]], {}, 2)
    small = [d.i8(*t.shape) for t in tables]
    scales, zeros = [_s(0.02)] * 5, [np.array(3, np.int8)] * 5
    yield Case("QEmbedLayerNormalization", [words, kinds, *small, mask, *scales, *zeros], {}, 2, tolerance=1e-4)


def _attention(d: Draw) -> Iterator[Case]:
    batch, length, heads, size, inner = 2, 4, 2, 3, 5
    hidden = heads * size
    x, w, b = d.f(batch, length, inner), d.f(inner, 3 * hidden), d.f(3 * hidden)
    raw = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], np.int32)
    square = d.below(2, batch, length, length).astype(np.int32) | np.eye(length, dtype=np.int32)
    masks = [None, raw, square, np.array([3, 4], np.int32), np.array([3, 4, 1, 0], np.int32)]
    past = d.f(2, batch, heads, 2, size)
    for mask in masks:
        for causal in (0, 1):
            more: dict[str, Any] = {"num_heads": heads, "unidirectional": causal}
            yield Case("Attention", [x, w, b, mask], more)
    yield Case("Attention", [x, w, b, None, past], {"num_heads": heads, "unidirectional": 1}, 2)
    yield Case("Attention", [x, w, b, None, None, d.f(1, heads, length, length)], {"num_heads": heads, "scale": 0.3})
    wide = {"num_heads": heads, "qkv_hidden_sizes": [hidden, hidden, 8], "mask_filter_value": -50.0}
    yield Case("Attention", [x, d.f(inner, 2 * hidden + 8), d.f(2 * hidden + 8), raw], wide)
    q, k, v = d.f(batch, length, hidden), d.f(batch, 5, hidden), d.f(batch, 5, 8)
    seen = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], np.int32)
    plain = {"num_heads": heads}
    yield Case("MultiHeadAttention", [q, k, v], plain)
    yield Case("MultiHeadAttention", [q, k, v, d.f(2 * hidden + 8), seen], plain)
    yield Case("MultiHeadAttention", [q, k, v, None, np.array([4, 2], np.int32)], plain)
    yield Case("MultiHeadAttention", [q, k, v, None, None, d.f(1, 1, length, 5)], plain | {"scale": 0.2})
    yield Case("MultiHeadAttention", [q, k, v, None, None, d.f(batch, heads, length, 5)], plain)
    same = [q, d.f(batch, length, hidden), d.f(batch, length, hidden)]
    yield Case("MultiHeadAttention", same, plain | {"unidirectional": 1})
    cache = [d.f(batch, heads, 3, size), d.f(batch, heads, 3, size)]
    yield Case("MultiHeadAttention", [*same, None, None, None, *cache], plain, 3)
    yield Case("MultiHeadAttention", [*same, d.f(3 * hidden), None, None, *cache], plain | {"unidirectional": 1}, 3)
    crossed = [q, d.f(batch, heads, 5, size), d.f(batch, heads, 5, size)]
    yield Case("MultiHeadAttention", crossed, plain)
    yield Case("MultiHeadAttention", [*crossed, d.f(3 * hidden)], plain)
    data, weights = d.u8(batch, length, inner), d.i8(inner, 3 * hidden) // 2
    fixed = [data, weights, b, _s(0.02), _s(0.03)]
    yield Case("QAttention", [*fixed, None, np.array(120, np.uint8), np.array(0, np.int8)], plain, tolerance=1e-4)
    yield Case("QAttention", [*fixed, raw, np.array(120, np.uint8)], plain | {"unidirectional": 1}, tolerance=1e-4)
    columns = d.rng.uniform(0.01, 0.03, 3 * hidden).astype(np.float32)
    yield Case("QAttention", [*fixed[:4], columns, None, None, np.zeros(3 * hidden, np.int8)], plain, tolerance=1e-4)
    yield Case("DecoderMaskedMultiHeadAttention", [d.f(batch, 1, hidden), *crossed[1:], seen], plain)
    yield from _rotary(d)


def _rotary(d: Draw) -> Iterator[Case]:
    cos, sin = d.f(9, 2), d.f(9, 2)
    x, places = d.f(2, 3, 8), d.below(9, 2, 3)
    yield Case("RotaryEmbedding", [x, places, cos, sin])
    yield Case("RotaryEmbedding", [x, places, cos, sin], {"interleaved": 1})
    yield Case("RotaryEmbedding", [x, np.array([4]), cos, sin], {"num_heads": 2})
    yield Case("RotaryEmbedding", [d.f(2, 2, 3, 4), places, cos, sin])
    partly = {"num_heads": 2, "rotary_embedding_dim": 4}
    yield Case("RotaryEmbedding", [d.f(2, 3, 16), places, cos, sin], partly)
    yield Case("RotaryEmbedding", [d.f(2, 3, 16), places, cos, sin], partly | {"interleaved": 1})


def _grouped(d: Draw) -> Iterator[Case]:
    batch, heads, groups, size = 2, 4, 2, 16
    shape: dict[str, Any] = {"num_heads": heads, "kv_num_heads": groups}
    angles = [d.f(12, size // 2), d.f(12, size // 2)]

    def operands(length: int, past: int, totals: list[int], most: int, capacity: int | None = None) -> list[Any]:
        old = capacity if capacity is not None else past
        cache = [d.f(batch, groups, old, size) if old else None for _ in range(2)]
        new = [d.f(batch, length, n * size) for n in (heads, groups, groups)]
        return [*new, *cache, np.array(totals, np.int32) - 1, np.array(most, np.int32)]

    prompt = operands(4, 0, [4, 4], 4)
    yield Case("GroupQueryAttention", prompt, shape, 3)
    yield Case("GroupQueryAttention", [*prompt, *angles], shape | {"do_rotary": 1}, 3)
    yield Case("GroupQueryAttention", [*prompt, *angles], shape | {"do_rotary": 1, "rotary_interleaved": 1}, 3)
    yield Case("GroupQueryAttention", prompt, shape | {"local_window_size": 2, "scale": 0.2}, 3)
    yield Case("GroupQueryAttention", prompt, shape | {"softcap": 3.0}, 3)
    yield Case("GroupQueryAttention", prompt, shape | {"smooth_softmax": 1}, 3)
    yield Case("GroupQueryAttention", [*prompt, None, None, None, None, d.f(heads)], shape, 3)
    yield Case("GroupQueryAttention", [*prompt, None, None, None, d.f(1, heads, 4, 4)], shape, 3)
    token = operands(1, 5, [6, 6], 6)
    yield Case("GroupQueryAttention", token, shape, 3)
    yield Case("GroupQueryAttention", [*token, *angles], shape | {"do_rotary": 1}, 3)
    roomy = operands(1, 5, [6, 6], 6, capacity=9)
    yield Case("GroupQueryAttention", roomy, shape, 3, compared=(0,))
    uneven = operands(1, 5, [6, 4], 6, capacity=9)
    yield Case("GroupQueryAttention", [*uneven, *angles], shape | {"do_rotary": 1}, 3, compared=(0,))
    packed = [d.f(batch, 4, (heads + 2 * groups) * size), None, None, *prompt[3:]]
    yield Case("GroupQueryAttention", packed, shape, 3)


def _arrays(d: Draw) -> Iterator[Case]:
    yield Case("GatherND", [d.f(3, 4, 2), np.array([[0, 1], [2, 3]])])
    yield Case("GatherND", [d.f(3, 4), np.array([[[1]], [[-1]]])])
    yield Case("Trilu", [d.f(3, 4)])
    yield Case("Trilu", [d.f(2, 3, 4), np.array(-1)], {"upper": 0})
    yield Case("Range", [np.array(1.0, np.float32), np.array(7.5, np.float32), np.array(1.5, np.float32)])
    yield Case("Range", [np.array(2), np.array(6)])
    yield Case("Pad", [d.f(2, 3), np.array([1, 0, 0, 2]), np.array([7.0], np.float32)])
    yield Case("Pad", [d.f(4, 3), np.array([[1, 1, 0, 1]])], {"mode": "reflect"})
    yield Case("Pad", [d.f(4, 3), np.array([1, 0, 0, 1])], {"mode": "edge"})
    for axis in (0, 1, 2, -1, -3):
        yield Case("ExpandDims", [d.f(3, 4), np.array(axis, np.int32)])
    yield Case("Unique", [np.array([2, 1, 1, 3, 4, 3], np.float32)], {}, 3)
    yield Case("Inverse", [d.f(3, 3) + 3 * np.eye(3, dtype=np.float32)], tolerance=1e-4)
    yield Case("Inverse", [d.f(2, 4, 4) + 3 * np.eye(4, dtype=np.float32)], tolerance=1e-4)
    for metric in ("sqeuclidean", "euclidean"):
        yield Case("CDist", [d.f(4, 3), d.f(5, 3)], {"metric": metric}, tolerance=1e-4)
    yield Case("MatMulInteger16", [d.below(200, 3, 4).astype(np.int16), d.below(200, 4, 2).astype(np.int16)])
    yield Case("NGramRepeatBlock", [np.array([[1, 2, 1, 2], [3, 3, 3, 3]]), d.f(2, 5)], {"ngram_size": 3})
    for padding in ("zeros", "border", "reflection"):
        yield Case("GridSample", [d.f(1, 2, 4, 5), d.f(1, 3, 3, 2)], {"padding_mode": padding})


def _text(d: Draw) -> Iterator[Case]:
    words = np.array(["Hello World", "I love computer science !", ""], object)
    fixed: dict[str, Any] = {"pad_value": "#", "mincharnum": 1, "mark": 0}
    yield Case("Tokenizer", [words], fixed | {"separators": [" "]})
    yield Case("Tokenizer", [words], fixed | {"separators": [" "], "mark": 1})
    yield Case("Tokenizer", [words], fixed | {"separators": [" ", "l+"], "mincharnum": 2})
    yield Case("Tokenizer", [words.reshape(1, 3)], fixed | {"separators": [""]})
    yield Case("Tokenizer", [words], fixed | {"tokenexp": "[a-zA-Z0-9_]+"})
    yield Case("Tokenizer", [words], fixed | {"tokenexp": "[a-z]+", "mincharnum": 3, "mark": 1})
    yield Case("Tokenizer", [np.array(["naïve café", "žluťoučký"], object)], fixed | {"tokenexp": "."})
    yield Case("Tokenizer", [np.array(["", ""], object)], fixed | {"separators": [" "]})
    yield Case("Tokenizer", [np.array([], object)], fixed | {"separators": [" "]})
    yield Case("Tokenizer", [np.array(["a,b;c", "d"], object)], fixed | {"separators": [",", ";"]})


def _old(d: Draw) -> Iterator[Case]:
    image = d.f(1, 2, 5, 6)
    yield Case("Affine", [image], {"alpha": 2.0, "beta": 0.5}, domain="")
    yield Case("ParametricSoftplus", [image], {"alpha": 2.0, "beta": 0.5}, domain="")
    yield Case("ScaledTanh", [image], {"alpha": 2.0, "beta": 0.5}, domain="")
    yield Case("ImageScaler", [image], {"scale": 2.0, "bias": [0.5, -1.0]}, domain="")
    yield Case("Crop", [image], {"border": [1, 0, 2, 1]}, domain="")
    yield Case("Crop", [image], {"border": [1, 2, 0, 0], "scale": [2, 3]}, domain="")
