"""The whole compiled model against the reference meaning, on seeded inputs: the evidence in the manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.check import Difference, allowances, compare, interpret
from graphopt.compiler.report import Evidence
from graphopt.errors import CompileError, GraphoptError
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph
from graphopt.ir.types import TensorType
from graphopt.ops.call import elements
from graphopt.ops.meaning.precision import is_float
from graphopt.program import Program
from graphopt.rewrite.exactness import Exactness
from graphopt.runtime.executor import Executor
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights

SEEDS = (0, 1)
SIZES = (2, 3, 16, 32, 64, 128, 224)
"""Sizes tried for symbolic dimensions: the first with which the reference runs."""
LEAST_TERMS = 1024
"""Terms that the longest accumulation is taken to have where no weight says so (a mean, a recurrence)."""


def gather(graph: Graph, program: Program, weights: Weights, kernels: Kernels) -> Evidence:
    """The worst difference over seeded inputs.

    CompileError when an output differs by more than `graphopt.check.allowances` derives for rounding.
    """
    executor = Executor(program, weights, kernels)
    names = _symbols(graph)
    reason = "the reference ran with none of the sizes tried"
    for size in SIZES[: None if names else 1]:
        sizes = dict.fromkeys(names, size)
        feeds = [seeded_feeds(graph, seed, sizes) for seed in SEEDS]
        try:
            expected = [interpret(graph, fed) for fed in feeds]
        except GraphoptError as error:
            reason = str(error)
            continue
        runs = zip(feeds, expected, strict=True)
        terms = longest_accumulation(graph)
        worst = max(_worst(graph, executor, fed, wanted, terms) for fed, wanted in runs)
        return Evidence(True, worst, SEEDS, sizes)
    return Evidence(False, reason=reason)


def longest_accumulation(graph: Graph) -> int:
    """The most terms that any product or convolution of the graph adds up, as far as its weights say."""
    longest = LEAST_TERMS
    for node in graph.nodes():
        longest = max([longest, *map(longest_accumulation, graph.subgraphs_of(node))])
        inputs = graph.inputs_of(node)
        weight = inputs[1] if len(inputs) > 1 else None
        if weight is None or weight.constant is None or len(weight.constant.shape) < 2:
            continue
        shape = weight.constant.shape
        if node.op in ("Conv", "ConvTranspose"):
            longest = max(longest, math.prod(shape) // max(shape[0], 1))
        elif node.op in ("MatMul", "Gemm"):
            longest = max(longest, shape[-1] if node.get("transB", 0) else shape[-2])
    return longest


def _worst(
    graph: Graph, executor: Executor, feeds: Mapping[str, Any], expected: Mapping[str, Any], terms: int
) -> float:
    """The worst difference of one run, relative to the largest element of the output it is in.

    What n·u explains, Wilkinson's bound for an accumulation of n terms, is taken as rounding at once; only beyond it
    is the reference run again and again to derive what rounding may do to this output.
    """
    given = [feeds[v.name] if v.name in feeds else elements(graph.defaults[v]) for v in graph.inputs]
    got = dict(zip(graph.output_names, executor.run(given), strict=True))
    allowed: Mapping[str, Any] | None = None
    worst = 0.0
    for name, wanted in expected.items():
        difference = compare(wanted, got[name], Exactness.REASSOCIATE)
        worst = max(worst, difference.worst_relative)
        if difference.agrees or (difference.kind == "value" and _surely_rounding(wanted, difference, terms)):
            continue
        allowed = allowances(graph, feeds, expected) if allowed is None else allowed
        difference = compare(wanted, got[name], Exactness.REASSOCIATE, allowed[name])
        if not difference.agrees:
            raise CompileError(
                f"the compiled model is wrong: output {name!r} {difference}; compile with check=False (--no-check) to"
                " get it all the same, and report the model"
            )
    return worst


def _surely_rounding(wanted: Any, difference: Difference, terms: int) -> bool:
    if not isinstance(wanted, np.ndarray) or not is_float(wanted.dtype) or wanted.dtype.kind == "c":
        return False
    import ml_dtypes

    return bool(difference.worst_relative <= terms * float(ml_dtypes.finfo(wanted.dtype).eps) / 2)


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
