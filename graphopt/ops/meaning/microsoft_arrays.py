"""com.microsoft: operators on arrays that came before the standard's, or stand beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning, meaning_of

_DOMAIN = "com.microsoft"

STANDARD = {"GatherND": 12, "Trilu": 14, "Range": 11, "GridSample": 16}
"""Operators that the standard took over as they were, with the opset that they came in."""


@meaning(*STANDARD, domain=_DOMAIN)
def _as_standard(call: Call) -> tuple[Any, ...]:
    function: Any = meaning_of(call.op)
    inputs = call.inputs
    if call.op == "Range" and call.input(2) is None:
        inputs = (*inputs[:2], np.ones((), inputs[0].dtype))
    if call.op == "Range":
        inputs = tuple(np.asarray(v).reshape(()) for v in inputs)
    return function(replace(call, domain="", version=STANDARD[call.op], inputs=inputs))


@meaning("Pad", domain=_DOMAIN)
def _pad(call: Call) -> tuple[np.ndarray]:
    function: Any = meaning_of("Pad")
    value = None if call.input(2) is None else np.asarray(call.inputs[2]).reshape(())
    inputs = (call.inputs[0], np.asarray(call.inputs[1]).reshape(-1), value)
    return function(replace(call, domain="", version=13, inputs=inputs))


@meaning("ExpandDims", domain=_DOMAIN)
def _expand_dims(call: Call) -> tuple[np.ndarray]:
    return (np.expand_dims(call.inputs[0], int(np.asarray(call.inputs[1]).reshape(-1)[0])),)


@meaning("Unique", domain=_DOMAIN)
def _unique(call: Call) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = call.inputs[0]
    values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)  # as they come in the input
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return (values[order].astype(x.dtype), rank[inverse.reshape(-1)].astype(np.int64), counts[order].astype(np.int64))


@meaning("Inverse", domain=_DOMAIN)
def _inverse(call: Call) -> tuple[np.ndarray]:
    x = call.inputs[0]
    try:
        return (rounded(np.linalg.inv(widened(x)), x.dtype),)
    except np.linalg.LinAlgError as error:
        raise ModelError("a matrix has no inverse") from error


@meaning("CDist", domain=_DOMAIN)
def _cdist(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    squares = np.square(widened(a)[:, None] - widened(b)[None]).sum(axis=2)
    metric = str(call.attributes.get("metric", "sqeuclidean"))
    if metric not in ("sqeuclidean", "euclidean"):
        raise ModelError(f"the metric {metric!r} is not known here")
    return (rounded(squares if metric == "sqeuclidean" else np.sqrt(squares), a.dtype),)


@meaning("MatMulInteger16", domain=_DOMAIN)
def _matmul_integer16(call: Call) -> tuple[np.ndarray]:
    a, b = call.inputs
    unsigned = a.dtype == b.dtype == np.uint16
    return (np.matmul(a.astype(np.int64), b.astype(np.int64)).astype(np.uint32 if unsigned else np.int32),)


@meaning("NGramRepeatBlock", domain=_DOMAIN)
def _ngram_repeat_block(call: Call) -> tuple[np.ndarray]:
    ids, scores = call.inputs
    size, out = int(call.attributes["ngram_size"]), scores.copy()
    for row, line in zip(out, ids.tolist(), strict=True):
        last = tuple(line[len(line) - size + 1 :])
        for start in range(len(line) - size + 1):
            if tuple(line[start : start + size - 1]) == last:
                row[line[start + size - 1]] = -np.inf
    return (out,)
