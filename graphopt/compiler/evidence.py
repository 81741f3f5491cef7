"""The whole compiled model against the reference meaning, on seeded inputs: the evidence in the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.check import interpret
from graphopt.compiler.report import Evidence
from graphopt.errors import CompileError, GraphoptError
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph
from graphopt.ir.types import TensorType
from graphopt.program import Program
from graphopt.runtime.executor import Executor
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights

SEEDS = (0, 1)
SIZES = (2, 3, 16, 32, 64, 128, 224)
"""Sizes tried for symbolic dimensions: the first with which the reference runs."""
TOLERANCE = {DType.FLOAT16: 2e-2, DType.BFLOAT16: 1e-1}
"""Relative to the largest element of an output, by its type; 1e-3 for all others: beyond it the check fails."""


def gather(graph: Graph, program: Program, weights: Weights, kernels: Kernels) -> Evidence:
    """The worst difference over seeded inputs; CompileError when an output differs by more than rounding explains."""
    executor = Executor(program, weights, kernels)
    reason = "the reference ran with none of the sizes tried"
    for size in SIZES:
        sizes = dict.fromkeys(_symbols(graph), size)
        worst = 0.0
        try:
            for seed in SEEDS:
                feeds = seeded_feeds(graph, seed, sizes)
                expected = interpret(graph, feeds)
                given = [
                    feeds.get(value.name, None if value not in graph.defaults else graph.defaults[value].array())
                    for value in graph.inputs
                ]
                worst = max(worst, _difference(graph, expected, executor.run(given)))
        except CompileError:
            raise
        except GraphoptError as error:
            reason = str(error)
            continue
        return Evidence(True, worst, SEEDS, sizes)
    return Evidence(False, reason=reason)


def seeded_feeds(graph: Graph, seed: int, sizes: Mapping[str, int]) -> dict[str, np.ndarray]:
    """One array for each input without a default: floats from N(0, 1), integers 0 or 1, the same for the same seed."""
    random = np.random.default_rng(seed)
    feeds: dict[str, np.ndarray] = {}
    for value in graph.inputs:
        if value in graph.defaults:
            continue
        type = value.type
        if not isinstance(type, TensorType) or type.dtype is None or type.shape is None:
            raise CompileError(f"input {value.name!r} has no declared type, so the model cannot be checked")
        shape = [dim if isinstance(dim, int) else max(dim.evaluate(sizes), 0) for dim in type.shape]
        if type.dtype is DType.STRING:
            feeds[value.name] = np.array([f"text {i}" for i in range(int(np.prod(shape)))], object).reshape(shape)
        elif type.dtype.is_float:
            feeds[value.name] = random.standard_normal(shape).astype(type.dtype.numpy)
        else:
            feeds[value.name] = random.integers(0, 2, shape).astype(type.dtype.numpy)
    return feeds


def _symbols(graph: Graph) -> list[str]:
    names: dict[str, None] = {}
    for value in graph.inputs:
        if isinstance(value.type, TensorType):
            for dim in value.type.shape or ():
                if not isinstance(dim, int):
                    names.update(dict.fromkeys(sorted(dim.symbols)))
    return list(names)


def _difference(graph: Graph, expected: Mapping[str, Any], got: Sequence[Any]) -> float:
    worst = 0.0
    for (name, wanted), found in zip(expected.items(), got, strict=True):
        if not isinstance(wanted, np.ndarray):
            continue
        if wanted.shape != found.shape or wanted.dtype != found.dtype:
            raise CompileError(
                f"output {name!r} is {found.dtype}{list(found.shape)}, the reference says"
                f" {wanted.dtype}{list(wanted.shape)}"
            )
        if wanted.dtype.kind in "OSU" or not wanted.size:
            continue
        worst = max(worst, _relative(name, wanted, found))
    return worst


def _relative(name: str, wanted: np.ndarray, found: np.ndarray) -> float:
    a, b = wanted.astype(np.complex128), found.astype(np.complex128)
    both = np.isfinite(a) & np.isfinite(b)
    if not np.array_equal(np.isnan(a), np.isnan(b)) or not np.array_equal(a[np.isinf(a)], b[np.isinf(a)]):
        raise CompileError(f"output {name!r} has its NaN or infinities in other places than the reference")
    if not both.any():
        return 0.0
    scale = max(float(np.abs(a[both]).max()), 1e-6)
    difference = float(np.abs(a[both] - b[both]).max()) / scale
    limit = TOLERANCE.get(DType.of(wanted.dtype), 1e-3)
    if difference > limit:
        raise CompileError(
            f"output {name!r} differs from the reference by {difference:.2g} of its largest element, more than"
            f" rounding explains ({limit:g})"
        )
    return difference
