"""Steps that add what networks are made of: products, convolutions, pooling, normalisation, reductions, branches."""

from __future__ import annotations

from hypothesis import strategies as st

from graphopt.ir.dim import Dim
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph, Value
from graphopt.ir.types import TensorType
from graphopt.testing.build import FLOATS, Builder, dtype_of, shape_of


def dense(b: Builder) -> None:
    """A product with constant weights, with or without a bias, or a Gemm."""
    x = b.pick(lambda v: dtype_of(v) in FLOATS and len(shape_of(v)) > 1 and isinstance(shape_of(v)[-1], int))
    if x is None:
        return
    k, n, dtype = shape_of(x)[-1], b.draw(st.integers(1, 4)), dtype_of(x)
    assert isinstance(k, int)
    kind = b.draw(st.sampled_from(("plain", "bias", "gemm")))
    if kind == "gemm" and len(shape_of(x)) == 2:
        turned = b.draw(st.integers(0, 1))
        weights = b.weights([n, k] if turned else [k, n], dtype)
        factors = {"alpha": b.draw(st.sampled_from((1.0, 0.5))), "beta": b.draw(st.sampled_from((1.0, 2.0)))}
        b.add("Gemm", [x, weights, b.weights([n], dtype)], dtype, [shape_of(x)[0], n], {"transB": turned, **factors})
        return
    y = b.add("MatMul", [x, b.weights([k, n], dtype)], dtype, [*shape_of(x)[:-1], n])
    if kind == "bias":
        b.add("Add", [y, b.weights([n], dtype)], dtype, shape_of(y))


def attention(b: Builder) -> None:
    """softmax(x · xᵀ) · x, the product of two values."""
    x = b.pick(lambda v: dtype_of(v) is DType.FLOAT32 and len(shape_of(v)) in (2, 3))
    if x is None:
        return
    *batch, m, k = shape_of(x)
    order = [*range(len(batch)), len(batch) + 1, len(batch)]
    turned = b.add("Transpose", [x], DType.FLOAT32, [*batch, k, m], {"perm": order})
    scores = b.add("MatMul", [x, turned], DType.FLOAT32, [*batch, m, m])
    weights = b.add("Softmax", [scores], DType.FLOAT32, shape_of(scores), {"axis": -1})
    b.add("MatMul", [weights, x], DType.FLOAT32, shape_of(x))


def convolution(b: Builder) -> None:
    """A convolution with its usual company: batch normalisation, an activation, a bias."""
    x = b.image()
    if x is None:
        return
    n, c, h, w = shape_of(x)
    assert isinstance(c, int)
    assert isinstance(h, int)
    assert isinstance(w, int)
    depthwise = c > 1 and b.draw(st.booleans())
    group, m = (c, c) if depthwise else (1, b.draw(st.integers(1, 3)))
    kernel = b.draw(st.sampled_from((1, 2, 3)))
    before, stride = b.draw(st.integers(0, 1)), b.draw(st.integers(1, 2))
    sizes = [(size + before + 1 - kernel) // stride + 1 for size in (h, w)]
    if min(h, w) + before + 1 < kernel:
        return
    bias = [b.weights([m])] if b.draw(st.booleans()) else []
    attributes = {"strides": [stride] * 2, "pads": [before, before, 1, 1], "group": group}
    y = b.add("Conv", [x, b.weights([m, c // group, kernel, kernel]), *bias], DType.FLOAT32, [n, m, *sizes], attributes)
    company = b.draw(st.sampled_from(("nothing", "normalisation", "bias", "scale")))
    if company == "normalisation":
        batch_normalisation(b, y)
    elif company != "nothing":
        b.add("Add" if company == "bias" else "Mul", [y, b.weights([m, 1, 1])], DType.FLOAT32, shape_of(y))


def batch_normalisation(b: Builder, x: Value | None = None) -> None:
    """Batch normalisation with its own numbers for each channel."""
    x = x or b.image()
    if x is None:
        return
    c = shape_of(x)[1]
    assert isinstance(c, int)
    variance = b.constant([0.5 + i for i in range(c)], DType.FLOAT32)
    b.add("BatchNormalization", [x, *(b.weights([c]) for _ in range(3)), variance], DType.FLOAT32, shape_of(x))


def pooling(b: Builder) -> None:
    """Maximum or average over windows, or over the whole image."""
    x = b.image()
    if x is None:
        return
    n, c, h, w = shape_of(x)
    op = b.draw(st.sampled_from(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")))
    if op.startswith("Global"):
        b.add(op, [x], DType.FLOAT32, [n, c, 1, 1])
        return
    assert isinstance(h, int)
    assert isinstance(w, int)
    attributes: dict[str, object] = {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]}
    if op == "AveragePool":
        attributes["count_include_pad"] = b.draw(st.integers(0, 1))
    b.add(op, [x], DType.FLOAT32, [n, c, h, w], attributes)


def normalisation(b: Builder) -> None:
    """Softmax or layer normalisation over the last axis."""
    x = b.pick(lambda v: dtype_of(v) is DType.FLOAT32 and len(shape_of(v)) > 1 and isinstance(shape_of(v)[-1], int))
    if x is None:
        return
    size = shape_of(x)[-1]
    assert isinstance(size, int)
    if size and b.draw(st.booleans()):
        b.add("LayerNormalization", [x, b.weights([size]), b.weights([size])], DType.FLOAT32, shape_of(x), {"axis": -1})
    else:
        b.add("Softmax", [x], DType.FLOAT32, shape_of(x), {"axis": -1})


def reduction(b: Builder) -> None:
    """A reduction over one axis whose size is a number other than 0, or over all."""
    x = b.pick(lambda v: dtype_of(v) in FLOATS and 0 not in shape_of(v))
    if x is None:
        return
    op = b.draw(st.sampled_from(("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2")))
    kept, shape = b.draw(st.integers(0, 1)), list(shape_of(x))
    axes = [i for i, dim in enumerate(shape) if isinstance(dim, int)]
    if not axes:
        return
    axis = b.draw(st.sampled_from(axes))
    rest: list[Dim] = [*shape[:axis], *([1] if kept else []), *shape[axis + 1 :]]
    b.add(op, [x, b.indices([axis])], dtype_of(x), rest, {"keepdims": kept})


def branch(b: Builder) -> None:
    """An If whose branches read a value from outside."""
    x = b.number()
    if x is None or not b.subgraphs:
        return
    if b.draw(st.booleans()):
        condition = b.constant(b.draw(st.booleans()), DType.BOOL)
    else:
        given = [v for v in b.graph.inputs if v.type == TensorType(DType.BOOL, ())]
        condition = given[0] if given else b.graph.add_input("flag", TensorType(DType.BOOL, ()))
    ops = b.draw(st.permutations(("Neg", "Abs", "Identity")))
    branches = {name: _branch(name, op, x) for name, op in zip(("then_branch", "else_branch"), ops, strict=False)}
    b.add("If", [condition], dtype_of(x), shape_of(x), dict(branches), captures={"outer": x})


def _branch(name: str, op: str, x: Value) -> Graph:
    inner = Graph(name)
    (y,) = inner.add_node(op, [inner.add_capture("outer", x.type)], types=[x.type])
    inner.add_output(y)
    return inner


def loop(b: Builder) -> None:
    """A Loop that adds a value from outside a few times."""
    x = b.number(FLOATS)
    if x is None or not b.subgraphs:
        return
    body = Graph("body")
    body.add_input("turn", TensorType(DType.INT64, ()))
    going = body.add_input("going", TensorType(DType.BOOL, ()))
    total = body.add_input("total", x.type)
    (more,) = body.add_node("Add", [total, body.add_capture("outer", x.type)], types=[x.type])
    (still,) = body.add_node("Identity", [going], types=[going.type])
    body.add_output(still)
    body.add_output(more)
    turns = b.constant(b.draw(st.integers(0, 2)), DType.INT64)
    b.add("Loop", [turns, None, x], dtype_of(x), shape_of(x), {"body": body}, captures={"outer": x})
