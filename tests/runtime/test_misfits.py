"""Requests that do not fit an operator are refused in a sentence, or answered right; none reaches other memory.

`GRAPHOPT_MISFITS=20000 pytest tests/runtime/test_misfits.py` is the long run, over every operator.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper, parser

import graphopt
from graphopt.errors import InputError, ModelError
from graphopt.runtime import Compiled
from graphopt_kernels.targets import host_targets
from tests.runtime.misfits import FOREIGN, requests, run_apart

COUNT = int(os.environ.get("GRAPHOPT_MISFITS", "400"))
SEED = int(os.environ.get("GRAPHOPT_MISFITS_SEED", "0"))
QUICK = (
    "affinegrid", "concat", "conv", "convinteger", "cumsum", "depthtospace", "einsum", "expand", "eyelike", "gather",
    "gatherelements", "gathernd", "gridsample", "maxunpool", "nonmaxsuppression", "onehot", "reshape",
    "reversesequence", "roialign", "scatterelements", "scatternd", "sequenceinsert", "slice", "split",
    "splittosequence", "tensorscatter", "tile", "topk", "trilu", "where",
)  # fmt: skip
"""onnx's modules of cases for a short run: loading them all takes longer than the rest of it."""


def test_every_misfit_is_refused_in_a_sentence_or_answered_right() -> None:
    modules = QUICK if COUNT <= 2000 else ()
    outcomes = run_apart(requests(SEED, COUNT, modules, 8 if modules else 24), modules)
    counts = Counter(outcome.verdict for outcome in outcomes)
    print(counts)
    assert [outcome for outcome in outcomes if not outcome.good] == []
    assert counts["refused"] > len(outcomes) // 10
    assert counts["right"] > len(outcomes) // 10


# the requests and models with which this was first seen: one line of text each
REQUESTS: dict[str, tuple[str, Mapping[str, Any], str]] = {
    "updates of another size": (
        "(float[N,M] d, int64[J,K] i, float[P,Q] u) => (float[N,M] y) { y = ScatterElements(d, i, u) }",
        {"d": np.zeros((3, 4), np.float32), "i": np.zeros((2, 4), np.int64), "u": np.zeros((1, 2), np.float32)},
        r"ScatterElements 'y': updates must have shape \[2, 4\], got \[1, 2\]",
    ),
    "more rows than the data": (
        "(float[B,M] x, int64[D,K] i) => (float[D,K] y) { y = GatherElements<axis=1>(x, i) }",
        {"x": np.zeros((2, 3), np.float32), "i": np.zeros((9, 1), np.int64)},
        "GatherElements 'y': indices have 9 elements in dimension 0, where the data has 2",
    ),
    "a bias of another length": (
        "(float[1,2,H,W] x, float[3,2,1,1] w, float[K] s) => (float[1,3,H,W] y) { y = Conv(x, w, s) }",
        {"x": np.zeros((1, 2, 4, 4), np.float32), "w": np.zeros((3, 2, 1, 1), np.float32), "s": np.zeros(2, "f")},
        r"Conv 'y': the bias must have shape \[3\], got \[2\]",
    ),
    "a bias of a group norm": (
        "(float[N,C,L] x, float[C] s, float[K] b) => (float[N,C,L] y) "
        "{ y = GroupNormalization<num_groups=3>(x, s, b) }",
        {"x": np.zeros((2, 3, 4), np.float32), "s": np.zeros(3, np.float32), "b": np.zeros(2, np.float32)},
        r"GroupNormalization 'y': bias must have shape \[3\], got \[2\]",
    ),
    "other batches": (
        "(float[B,M] x, int64[D,K,1] i) => (float[D,K] y) { y = GatherND<batch_dims=1>(x, i) }",
        {"x": np.zeros((2, 3), np.float32), "i": np.zeros((4, 1, 1), np.int64)},
        "GatherND 'y': .* must agree, got 2 and 4",
    ),
    "an index beyond the axis": (
        "(float[2,K] x, int64[J] i) => (float[2,J] y) { y = Gather<axis=1>(x, i) }",
        {"x": np.zeros((2, 3), np.float32), "i": np.array([0, -4])},
        "Gather 'y': .*-4",
    ),
    "a write far away": (
        "(float[N] d, int64[J,1] i, float[J] u) => (float[N] y) { y = ScatterND(d, i, u) }",
        {"d": np.zeros(4, np.float32), "i": np.array([[10**9]]), "u": np.zeros(1, np.float32)},
        "ScatterND 'y': .*1000000000",
    ),
    "channels that do not divide": (
        "(float[1,C,2,2] x) => (float[1,D,4,4] y) { y = DepthToSpace<blocksize=2>(x) }",
        {"x": np.zeros((1, 6, 2, 2), np.float32)},
        "DepthToSpace 'y': the channels must be a multiple of 4, got 6",
    ),
    "a sequence longer than the input": (
        "(float[T,1,3] x, float[1,8,3] w, float[1,8,2] r, int32[1] l) => (float[T,1,1,2] y) "
        '{ y = LSTM<hidden_size=2>(x, w, r, "", l) }',
        {
            "x": np.zeros((2, 1, 3), "f"),
            "w": np.zeros((1, 8, 3), "f"),
            "r": np.zeros((1, 8, 2), "f"),
            "l": np.array([5], np.int32),
        },
        "LSTM 'y': sequence_lens must lie from 0 to 2, got 5",
    ),
    "grids of another batch": (
        "(float[N,1,2,2] x, float[B,1,1,2] g) => (float[N,1,1,1] y) { y = GridSample(x, g) }",
        {"x": np.zeros((1, 1, 2, 2), np.float32), "g": np.zeros((3, 1, 1, 2), np.float32)},
        "GridSample 'y': the batches of X and grid must agree, got 1 and 3",
    ),
    "no constant to pad with": (
        "(float[N] x, int64[2] p, float[K] v) => (float[M] y) { y = Pad(x, p, v) }",
        {"x": np.zeros(3, np.float32), "p": np.array([1, 1]), "v": np.zeros(0, np.float32)},
        r"Pad 'y': constant_value must have one element, got shape \[0\]",
    ),
    "scales that are no numbers": (
        "(float[N,M] x, float[K] s) => (float[P,Q] y) { y = Resize(x, , s) }",
        {"x": np.zeros((2, 3), np.float32), "s": np.array([1, np.nan], np.float32)},
        "Resize 'y': scales must be finite, got nan",
    ),
    "scales beside sizes": (
        "(float[N,M] x, float[K] s, int64[2] z) => (float[P,Q] y) { y = Resize(x, , s, z) }",
        {"x": np.zeros((2, 3), np.float32), "s": np.array([np.nan, np.nan], np.float32), "z": np.array([2, 3])},
        "Resize 'y': has both scales and sizes",
    ),
    "a vector for a matrix": (
        "(float[] x) => (float[] y) { y = Trilu(x) }",
        {"x": np.zeros(3, np.float32)},
        "Trilu 'y': the data must have at least 2 dimensions",
    ),
    "inner dimensions": (
        "(float[N,M] a, float[P,Q] b) => (float[N,Q] y) { y = MatMul(a, b) }",
        {"a": np.zeros((2, 3), np.float32), "b": np.zeros((2, 3), np.float32)},
        "MatMul 'y': the inner dimensions must agree, got 3 and 2",
    ),
    "inside a branch": (
        "(bool k, float[N,M] a, float[P,Q] b) => (float[N,Q] y) { y = If (k) <then_branch = t () => (float[N,Q] p) "
        "{ p = MatMul(a, b) }, else_branch = e () => (float[N,Q] q) { q = Identity(a) }> }",
        {"k": np.array(True), "a": np.zeros((2, 3), np.float32), "b": np.zeros((2, 3), np.float32)},
        "If 'y': at MatMul 'p': the inner dimensions must agree, got 3 and 2",
    ),
}


@pytest.mark.parametrize(("text", "feeds", "says"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_that_does_not_fit_is_told_where_and_why(text: str, feeds: Mapping[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=f"^these inputs do not fit the model: at {says}") as caught:
        compiled(text)(feeds)
    assert "\n" not in str(caught.value)
    assert not FOREIGN.search(str(caught.value))


@pytest.mark.parametrize(
    ("text", "tensors", "says"),
    [
        (
            "(float[2,4] d, float[1,2] u) => (float[2,4] y) { y = ScatterND(d, i, u) }",
            {"i": np.array([[0]])},
            r"node 'y': ScatterND: updates must have shape \[1, 4\], got \[1, 2\]",
        ),
        (
            "(float[5] x) => (float[6] y) { g = Gather(x, i) y = Neg(g) }",
            {"i": np.array([0, 1, 2, 3, 5, 4])},
            "node 'g': Gather: an index into axis 0 of 5 elements must lie from -5 to 4, got 5",
        ),
        (
            "(float[N,5] x) => (float[N,9999] y) { y = Gather<axis=1>(x, i) }",
            {"i": np.full(9999, 5)},
            "node 'y': Gather: an index into axis 1 of 5 elements must lie from -5 to 4, got 5",
        ),
        (
            "(float[N] x) => (int64[N] y) { h = Add(i, i) g = Gather(i, h) y = Shape(x) z = Add(y, g) }",
            {"i": np.array([0, 1])},
            "node 'g': Gather: .* got 2",
        ),
    ],
)
def test_what_no_request_can_fit_does_not_compile(text: str, tensors: Mapping[str, np.ndarray], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        compiled(text, tensors)


def compiled(text: str, tensors: Mapping[str, np.ndarray] | None = None) -> Compiled:
    opset = 21 if "GroupNorm" in text else 17
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> g {text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (tensors or {}).items())
    return graphopt.compile(made, targets=host_targets()[:1], threads=1, check=False)
