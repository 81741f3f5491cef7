"""Tests of passes as text: a graph before, a graph after, both in ONNX's own textual syntax.

    assert_rewrites(
        RemoveIdentities(),
        "(float[N] x) => (float[N] y) { a = Identity(x)  y = Relu(a) }",
        "(float[N] x) => (float[N] y) { y = Relu(x) }",
    )

Each assertion also holds the pass against its contract: the graph computes the same before and after (bit for bit at
the exact level), it is well formed, and running the pass again changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.check import interpret
from graphopt.frontend import read_onnx
from graphopt.infer import infer_types
from graphopt.ir import Dim, Graph, TensorType, Value
from graphopt.rewrite import Exactness, Pass, RewriteReport, run_passes, show

_OPSET = 21
_SIZES = (3, 2, 4, 5)
"""What symbols stand for, in the order in which they appear."""


def parse(text: str, tensors: Mapping[str, np.ndarray] | None = None, *, opset: int = _OPSET) -> Graph:
    """The graph a text describes, `(inputs) => (outputs) <initializers> { nodes }`, with types inferred.

    `tensors` are initializers too large to be written out.  See https://onnx.ai/onnx/repo-docs/Syntax.html
    """
    from onnx import numpy_helper, parser

    header = f'<ir_version: 10, opset_import: ["": {opset}, "com.microsoft": 1, "custom": 1]>\n'
    model = parser.parse_model(text if text.lstrip().startswith("<") else f"{header} g {text}")
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (tensors or {}).items())
    graph = read_onnx(model)
    infer_types(graph)
    return graph


def assert_rewrites(
    step: Pass,
    before: str,
    after: str,
    tensors: Mapping[str, np.ndarray] | None = None,
    *,
    level: Exactness = Exactness.REASSOCIATE,
    opset: int = _OPSET,
    elements: bool = True,
    compute: bool = True,
) -> RewriteReport:
    """Assert that the pass turns one graph into the other, and keeps its contract; gives the report.

    With `elements=False` the constants of the two are compared by type alone; with `compute=False` nothing is run.
    """
    source, graph = parse(before, tensors, opset=opset), parse(before, tensors, opset=opset)
    report = run_passes(graph, [step], level=level)
    wanted, got = show(parse(after, tensors, opset=opset), elements=elements), show(graph, elements=elements)
    assert _without_types(got) == _without_types(wanted), f"got\n{got}\nwanted\n{wanted}"
    again = run_passes(graph, [step], level=level)
    assert not again.applied, f"{step.name} is not idempotent: {again.applied}"
    if compute:
        assert_same(source, graph, exact=all(entry.exactness == Exactness.EXACT for entry in report.applied))
    return report


def assert_unchanged(
    step: Pass,
    text: str,
    tensors: Mapping[str, np.ndarray] | None = None,
    *,
    reason: str | None = None,
    level: Exactness = Exactness.REASSOCIATE,
    opset: int = _OPSET,
) -> RewriteReport:
    """Assert that the pass leaves the graph alone, and (with `reason`) that a rule declined with these words."""
    graph = parse(text, tensors, opset=opset)
    before = show(graph)
    report = run_passes(graph, [step], level=level)
    assert show(graph) == before, f"changed by {[entry.rule for entry in report.applied]}"
    if reason is not None:
        reasons = [entry.reason for entry in report.declined]
        assert any(reason in given for given in reasons), f"declined for {reasons}, not for {reason!r}"
    return report


def assert_same(before: Graph, after: Graph, *, exact: bool, seed: int = 0) -> None:
    """Assert that two graphs compute the same on seeded inputs with NaN, infinities and signed zeros among them."""
    feeds = feeds_for(before, seed=seed, special=exact)
    left, right = interpret(before, feeds), interpret(after, feeds)
    assert list(left) == list(right)
    for name, value in left.items():
        assert_equal(name, value, right[name], exact=exact)


def assert_equal(name: str, wanted: Any, got: Any, *, exact: bool) -> None:
    """Assert two results equal: bit for bit but for NaN's payload, or within rounding of their largest element."""
    a, b = np.asarray(wanted), np.asarray(got)
    assert (a.dtype, a.shape) == (b.dtype, b.shape), f"{name}: {a.dtype}{a.shape} became {b.dtype}{b.shape}"
    if exact or a.dtype.kind not in "fc":
        np.testing.assert_array_equal(a, b, err_msg=name)
        if a.dtype.kind == "f":
            zeros = a == 0
            np.testing.assert_array_equal(np.signbit(a[zeros]), np.signbit(b[zeros]), err_msg=f"{name}: signs of zero")
        return
    finite = np.isfinite(a)
    scale = float(np.max(np.abs(a[finite]), initial=0.0)) or 1.0
    tolerance = 64 * float(np.finfo(a.dtype).eps) * scale
    np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, equal_nan=True, err_msg=name)


def feeds_for(graph: Graph, *, seed: int = 0, special: bool = True) -> dict[str, np.ndarray]:
    """Seeded inputs for a graph: each symbol one small size; among floats NaN, infinities and both zeros, if asked."""
    random = np.random.default_rng(seed)
    sizes: dict[str, int] = {}
    return {value.name: _feed(value, sizes, random, special) for value in graph.inputs if value not in graph.defaults}


def _feed(value: Value, sizes: dict[str, int], random: np.random.Generator, special: bool) -> np.ndarray:
    type = value.type
    assert isinstance(type, TensorType)
    assert type.dtype is not None
    assert type.shape is not None
    shape = tuple(_size(dim, sizes) for dim in type.shape)
    dtype = type.dtype.numpy
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    if dtype.kind in "iu":
        return random.integers(0 if dtype.kind == "u" else -9, 9, shape).astype(dtype)
    array = np.asarray(random.standard_normal(shape) * 3, dtype)
    if special and array.size:
        extremes = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
        where = random.integers(0, array.size, min(5, math.ceil(array.size / 2)))
        array.reshape(-1)[where] = extremes[: len(where)]
    return array


def _size(dim: Dim, sizes: dict[str, int]) -> int:
    if isinstance(dim, int):
        return dim
    for name in sorted(dim.symbols):
        sizes.setdefault(name, _SIZES[len(sizes) % len(_SIZES)])
    return dim.evaluate(sizes)


def _without_types(text: str) -> list[str]:
    """The lines without the types of values in between: a pass may know them better than inference does."""
    kept: list[str] = []
    for line in text.splitlines():
        left, equals, right = line.partition(" = ")
        names = ", ".join(part.split(":")[0] for part in left.split(", %") if part)
        kept.append(f"{names}{equals}{right}" if equals and line.startswith("  %") else line)
    return kept
