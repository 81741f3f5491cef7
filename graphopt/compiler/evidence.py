"""The whole compiled model against the reference meaning, on seeded inputs: the evidence in the manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.check import Budget, BudgetSpentError, allowances, compare, interpret
from graphopt.compiler.report import Evidence
from graphopt.errors import CompileError, GraphoptError
from graphopt.ir.dtype import DType
from graphopt.ir.graph import Graph
from graphopt.ir.types import TensorType
from graphopt.ops.call import elements
from graphopt.program import Program
from graphopt.rewrite.exactness import Exactness
from graphopt.runtime.executor import Executor
from graphopt.runtime.native import Kernels
from graphopt.runtime.weights import Weights

SEEDS = (0, 1)
SIZES = (2, 3, 16, 32, 64, 128, 224)
"""Sizes tried for symbolic dimensions: the first with which the reference runs."""
MOST_FED = 1 << 30
"""Bytes of inputs that are made up for a check."""
_TEXT = 1 << 10
"""What a made-up text counts for: it is an object, and made one by one."""
OPERATIONS = 100_000_000_000
"""What one check may compute in the reference; what is left out for it is said in the evidence."""


def gather(
    graph: Graph, program: Program, weights: Weights, kernels: Kernels, operations: int = OPERATIONS
) -> Evidence:
    """The worst difference over seeded inputs.

    CompileError when an output differs by more than `graphopt.check.allowances` derives for rounding.  Where
    `operations` do not suffice, fewer seeds are run, or none: `seeds` are those whose outputs were found right.
    """
    executor = Executor(program, weights, kernels)
    names = _symbols(graph)
    budget = Budget(operations)
    reason = "the reference ran with none of the sizes tried"
    for size in SIZES[: None if names else 1]:
        sizes = dict.fromkeys(names, size)
        if feeds_bytes(graph, sizes) > MOST_FED:
            reason = f"its inputs take more than {MOST_FED:,} bytes"
            continue
        worst: list[float] = []
        try:
            for seed in SEEDS:
                fed = seeded_feeds(graph, seed, sizes)
                try:
                    expected = interpret(graph, fed, budget)
                except GraphoptError as error:
                    reason = str(error)
                    break
                worst.append(_worst(graph, executor, fed, expected, budget))
        except BudgetSpentError as error:
            reason = f"the check ended {error}, with {len(worst)} seeds done"
            if not worst:
                return Evidence(False, sizes=sizes, reason=reason)
            return Evidence(True, max(worst), SEEDS[: len(worst)], sizes, reason)
        if len(worst) == len(SEEDS):
            return Evidence(True, max(worst), SEEDS, sizes)
    return Evidence(False, reason=reason)


def _worst(
    graph: Graph, executor: Executor, feeds: Mapping[str, Any], expected: Mapping[str, Any], budget: Budget
) -> float:
    """The worst difference of one run, relative to the largest element of the output it is in.

    What is off by more than half a unit in the last place on either side is held against the derived allowance.
    """
    given = [feeds[v.name] if v.name in feeds else elements(graph.defaults[v]) for v in graph.inputs]
    try:
        got = dict(zip(graph.output_names, executor.run(given), strict=True))
    except MemoryError:
        raise BudgetSpentError("before the compiled model, for which there is not enough memory here") from None
    allowed: Mapping[str, Any] | None = None
    worst = 0.0
    for name, wanted in expected.items():
        difference = compare(wanted, got[name], Exactness.REASSOCIATE)
        worst = max(worst, difference.worst_relative)
        if difference.agrees:
            continue
        allowed = allowances(graph, feeds, expected, run=budget) if allowed is None else allowed
        difference = compare(wanted, got[name], Exactness.REASSOCIATE, allowed[name])
        if not difference.agrees:
            raise CompileError(
                f"the compiled model is wrong: output {name!r} {difference}; compile with check=False (--no-check) to"
                " get it all the same, and report the model"
            )
    return worst


def feeds_bytes(graph: Graph, sizes: Mapping[str, int]) -> int:
    """What `seeded_feeds` would take, about, for what it does not refuse."""
    total = 0
    for value in graph.inputs:
        type = value.type
        if value in graph.defaults or not isinstance(type, TensorType) or type.dtype is None or type.shape is None:
            continue
        count = math.prod(dim if isinstance(dim, int) else max(dim.evaluate(sizes), 0) for dim in type.shape)
        total += count * (_TEXT if type.dtype is DType.STRING else max(type.dtype.bits // 8, 1))
    return total


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
