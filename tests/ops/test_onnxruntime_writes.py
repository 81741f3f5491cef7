"""What ONNX Runtime writes when it optimises and quantises a model is read, and computes the same.

But for convolutions laid out for one processor (com.microsoft.nchwc): see `compiler/meanings.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, numpy_helper, parser

from graphopt.check import interpret
from graphopt.frontend import read_onnx
from graphopt.infer import infer_types
from graphopt.ir import Graph, Node
from graphopt.ops.table import meaning_of

ort = pytest.importorskip("onnxruntime")
RNG = np.random.default_rng(6)
Feeds = Mapping[str, np.ndarray]


def f(*shape: int) -> np.ndarray:
    return (RNG.standard_normal(shape) / max(shape[-1], 1) ** 0.5).astype(np.float32)


def model(text: str, feeds: Feeds, **weights: np.ndarray) -> tuple[ModelProto, Feeds]:
    made = parser.parse_model(f'<ir_version: 9, opset_import: ["": 17]> g {text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    return made, feeds


def convolutions() -> tuple[ModelProto, Feeds]:
    return model(
        """(float[N,3,12,12] x) => (float[N,5] y) {
            a = Conv<pads=[1,1,1,1]>(x, w0, b0)  s = Sigmoid(a)  h = Mul(a, s)
            p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(h)
            c = Conv(p, w1, b1)  r = Relu(c)  d = Conv<group=8, pads=[1,1,1,1]>(r, w2, b2)  z = LeakyRelu<alpha=0.1>(d)
            e = Add(z, r)  k = Clip(e, zero, six)
            v = AveragePool<kernel_shape=[2,2]>(k)  g = GlobalAveragePool(v)
            f = Flatten(g)  m = Gemm(f, w3, b3)  u = Tanh(m)  o = Concat<axis=1>(u, m)  q = MatMul(o, w4)
            y = Softmax(q)
        }""",
        {"x": f(2, 3, 12, 12)},
        w0=f(8, 3, 3, 3), b0=f(8), w1=f(8, 8, 1, 1), b1=f(8), w2=f(8, 1, 3, 3), b2=f(8),
        w3=f(8, 4), b3=f(4), w4=f(8, 5), zero=np.array(0, np.float32), six=np.array(6, np.float32),
    )  # fmt: skip


def transformer() -> tuple[ModelProto, Feeds]:
    """One layer, as exporters write it: normalisation, attention, normalisation, GELU by its parts."""
    return model(
        """(float[B,6,16] x) => (float[B,6,16] y) {
            n = LayerNormalization<axis=-1>(x, g0, b0)
            q = MatMul(n, wq)  k = MatMul(n, wk)  v = MatMul(n, wv)
            qa = Add(q, bq)  ka = Add(k, bq)  va = Add(v, bq)
            qr = Reshape(qa, heads)  kr = Reshape(ka, heads)  vr = Reshape(va, heads)
            qt = Transpose<perm=[0,2,1,3]>(qr)  kt = Transpose<perm=[0,2,3,1]>(kr)  vt = Transpose<perm=[0,2,1,3]>(vr)
            s = MatMul(qt, kt)  sc = Mul(s, scale)  p = Softmax<axis=-1>(sc)  c = MatMul(p, vt)
            ct = Transpose<perm=[0,2,1,3]>(c)  cr = Reshape(ct, joined)  o = MatMul(cr, wo)
            oa = Add(o, bq)  h = Add(oa, x)  m = LayerNormalization<axis=-1>(h, g0, b0)
            u = MatMul(m, w1)  ua = Add(u, b1)  d = Div(ua, root)  e = Erf(d)  ee = Add(e, one)  uu = Mul(ua, ee)
            t = Mul(uu, half)  w = MatMul(t, w2)  wa = Add(w, bq)  y = Add(wa, h)
        }""",
        {"x": f(2, 6, 16) * 4},
        **{name: f(16, 16) for name in ("wq", "wk", "wv", "wo")}, w1=f(16, 32), b1=f(32), w2=f(32, 16), bq=f(16),
        g0=1 + f(16), b0=f(16), heads=np.array([0, 0, 4, 4]), joined=np.array([0, 0, 16]),
        scale=np.array(0.5, np.float32), root=np.array(2**0.5, np.float32), one=np.array(1, np.float32),
        half=np.array(0.5, np.float32),
    )  # fmt: skip


def simplified() -> tuple[ModelProto, Feeds]:
    """A T5-like block: RMS normalisation by its parts, and the other GELU."""
    return model(
        """(float[B,4,16] x, float[B,4,16] r) => (float[B,4,16] y) {
            h = Add(x, r)  p = Pow(h, two)  m = ReduceMean<axes=[-1], keepdims=1>(p)  e = Add(m, eps)  s = Sqrt(e)
            d = Div(h, s)  n = Mul(d, g)  u = MatMul(n, w)  q = Mul(u, k)  t = Sigmoid(q)  v = Mul(u, t)  y = Add(v, h)
        }""",
        {"x": f(2, 4, 16) * 4, "r": f(2, 4, 16) * 4},
        two=np.array(2, np.float32), eps=np.array(1e-5, np.float32), g=1 + f(16), w=f(16, 16),
        k=np.array(1.702, np.float32),
    )  # fmt: skip


def recurrent() -> tuple[ModelProto, Feeds]:
    return model(
        """(float[T,1,8] x) => (float[T,1,4] y) {
            h, a, b = LSTM<hidden_size=6>(x, w, r, bias)  s = Squeeze(h, axes)  y = MatMul(s, o)
        }""",
        {"x": f(5, 1, 8) * 3},
        w=f(1, 24, 8), r=f(1, 24, 6), bias=f(1, 48), axes=np.array([1]), o=f(6, 4),
    )  # fmt: skip


def embedding() -> tuple[ModelProto, Feeds]:
    return model(
        "(int64[N] i) => (float[N,32] y) { e = Gather(t, i)  y = MatMul(e, w) }",
        {"i": np.array([3, 0, 9])},
        t=f(10, 64), w=f(64, 32),
    )  # fmt: skip


MODELS: dict[str, Callable[[], tuple[ModelProto, Feeds]]] = {
    made.__name__: made for made in (convolutions, transformer, simplified, recurrent, embedding)
}


def session(path: Path, level: str = "ORT_DISABLE_ALL", write: Path | None = None) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    options.log_severity_level = 4
    if write is not None:
        options.optimized_model_filepath = str(write)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def unknown_operators(graph: Graph) -> list[str]:
    control = ("If", "Loop", "Scan")
    return [n.qualified_op for n in nodes_of(graph) if n.op not in control and meaning_of(n.op, n.domain) is None]


def nodes_of(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes():
        yield node
        for inner in graph.subgraphs_of(node):
            yield from nodes_of(inner)


def assert_read_and_run(path: Path, feeds: Feeds, tolerance: float) -> None:
    """The model is read, knows all its operators, and computes what ONNX Runtime computes of it."""
    graph = read_onnx(path)
    infer_types(graph)
    assert unknown_operators(graph) == []
    wanted = session(path).run(None, dict(feeds))
    for want, have in zip(wanted, interpret(graph, feeds).values(), strict=True):
        assert have.dtype == want.dtype
        np.testing.assert_allclose(have, want, rtol=0, atol=tolerance * max(float(np.abs(want).max()), 1e-3))


@pytest.mark.parametrize("level", ["ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_LAYOUT", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("name", MODELS)
def test_an_optimised_model_is_read_and_run(name: str, level: str, tmp_path: Path) -> None:
    source, feeds = MODELS[name]()
    path, written = tmp_path / "m.onnx", tmp_path / "optimised.onnx"
    onnx.save(source, path)
    session(path, level, written)
    if name == "convolutions" and level in ("ORT_ENABLE_LAYOUT", "ORT_ENABLE_ALL"):
        left = unknown_operators(read_onnx(written))
        assert left
        assert all(op.startswith("com.microsoft.nchwc::") for op in left)
        return
    assert_read_and_run(written, feeds, 1e-4)


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("name", ["convolutions", "transformer", "embedding"])
def test_a_statically_quantised_model_is_read_and_run(name: str, form: str, level: str, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    source, feeds = MODELS[name]()
    path, made, written = tmp_path / "m.onnx", tmp_path / "q.onnx", tmp_path / "optimised.onnx"
    onnx.save(source, path)
    quantization.quantize_static(
        path, made, Reader(feeds), quant_format=quantization.QuantFormat[form], per_channel=name == "convolutions",
        reduce_range=True,
    )  # fmt: skip
    session(made, level, written)
    assert_read_and_run(written, feeds, 0.05)  # a step of 8 bits here, of other values there


class Reader:
    """Two requests to calibrate with."""

    def __init__(self, feeds: Feeds) -> None:
        self.left = [dict(feeds)] * 2

    def get_next(self) -> Feeds | None:
        return self.left.pop() if self.left else None


@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_ALL"])
@pytest.mark.parametrize("name", ["transformer", "recurrent", "simplified"])
def test_a_dynamically_quantised_model_is_read_and_run(name: str, level: str, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    source, feeds = MODELS[name]()
    path, made, written = tmp_path / "m.onnx", tmp_path / "q.onnx", tmp_path / "optimised.onnx"
    onnx.save(source, path)
    quantization.quantize_dynamic(path, made, reduce_range=True)
    session(made, level, written)
    assert_read_and_run(written, feeds, 0.03)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ["transformer", "embedding"])
def test_a_model_with_weights_of_few_bits_is_read_and_run(
    name: str, bits: int, symmetric: bool, tmp_path: Path
) -> None:
    pytest.importorskip("onnx_ir")
    module = pytest.importorskip("onnxruntime.quantization.matmul_nbits_quantizer")
    source, feeds = MODELS[name]()
    made = module.MatMulNBitsQuantizer(
        source, block_size=16, is_symmetric=symmetric, bits=bits, op_types_to_quantize=("MatMul", "Gather")
    )
    made.process()
    path = tmp_path / "q.onnx"
    onnx.save(made.model.model, path)
    ops = {node.op_type for node in onnx.load(path).graph.node}
    assert "MatMulNBits" in ops
    assert_read_and_run(path, feeds, 1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_float16_is_read_and_run(name: str, tmp_path: Path) -> None:
    module = pytest.importorskip("onnxruntime.transformers.float16")
    source, feeds = MODELS[name]()
    path, written = tmp_path / "h.onnx", tmp_path / "optimised.onnx"
    onnx.save(module.convert_float_to_float16(source, keep_io_types=True), path)
    session(path, "ORT_ENABLE_EXTENDED", written)
    assert_read_and_run(written, feeds, 0.02)
    assert any(t.data_type == TensorProto.FLOAT16 for t in onnx.load(written).graph.initializer)


@pytest.mark.parametrize("kind", ["bert", "gpt2"])
def test_a_model_that_the_transformer_tools_fuse_is_read_and_run(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("sympy")
    module = pytest.importorskip("onnxruntime.transformers.optimizer")
    source, feeds = MODELS["transformer"]()
    path, written = tmp_path / "m.onnx", tmp_path / "fused.onnx"
    onnx.save(source, path)
    fused = module.optimize_model(str(path), model_type=kind, num_heads=4, hidden_size=16, opt_level=0)
    fused.save_model_to_file(str(written))
    assert {node.op_type for node in onnx.load(written).graph.node} & {
        "Attention",
        "SkipLayerNormalization",
        "FastGelu",
        "Gelu",
        "BiasGelu",
    }
    assert_read_and_run(written, feeds, 1e-3)


@pytest.mark.corpus
@pytest.mark.parametrize("level", ["ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_of_optimised_real_models_only_layouts_are_not_known(level: str, tmp_path: Path) -> None:
    from bench.corpus.load import is_installed, path
    from bench.corpus.models import MODELS as CORPUS

    found: set[str] = set()
    names = [name for name in CORPUS if is_installed(name) and path(name).stat().st_size < 30e6]
    if not names:
        pytest.skip("no corpus here")
    for name in names:
        written = tmp_path / f"{name}.onnx"
        session(path(name), level, written)
        graph = read_onnx(written)
        infer_types(graph)
        found.update(unknown_operators(graph))
    assert all(op.startswith("com.microsoft.nchwc::") for op in found)
    assert level == "ORT_ENABLE_ALL" or not found
