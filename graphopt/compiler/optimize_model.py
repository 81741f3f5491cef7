"""`optimize`: a model through reader, passes and writer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphopt.errors import GraphoptError
from graphopt.frontend import read_onnx, write_onnx
from graphopt.infer import infer_types
from graphopt.ir import Graph
from graphopt.passes.pipeline import check_order, known_names, lowering_passes, optimization_passes
from graphopt.rewrite import Exactness, Pass, RewriteReport, Watcher, run_passes

if TYPE_CHECKING:
    import onnx


def optimize_model(
    model: str | os.PathLike[str] | onnx.ModelProto,
    *,
    level: str | Exactness = "reassociate",
    skip: Sequence[str] = (),
    fold_budget: int | None = None,
    keep_quantized: bool = True,
) -> onnx.ModelProto:
    """A model that computes the same with less: same inputs, outputs, names, types and symbols.

    `model` is a path or a model, which is never changed.  `level` is `exact`, `reassociate` (the default) or
    `approximate`; `skip` names passes or rules to leave out; folding may grow the constants by at most `fold_budget`
    bytes (4 MiB by default), and leaves quantised weights quantised unless `keep_quantized` is false.  GraphoptError,
    in one sentence, when the model cannot be read or a word is not known.
    """
    graph = read_onnx(model)
    optimize_graph(graph, level=level, skip=skip, fold_budget=fold_budget, keep_quantized=keep_quantized)
    return write_onnx(graph)


def optimize_graph(
    graph: Graph,
    *,
    level: str | Exactness = "reassociate",
    skip: Sequence[str] = (),
    fold_budget: int | None = None,
    keep_quantized: bool = True,
    watcher: Watcher | None = None,
) -> RewriteReport:
    """What the optimisation pipeline did to the graph, which it changed in place; arguments as for `optimize`.

    `watcher` sees every application before it happens and may refuse it.
    """
    options: dict[str, Any] = {} if fold_budget is None else {"fold_budget": fold_budget}
    return _run(graph, optimization_passes(keep_quantized=keep_quantized, **options), level, skip, watcher)


def prepare_for_lowering(
    graph: Graph, *, level: str | Exactness = "reassociate", skip: Sequence[str] = (), watcher: Watcher | None = None
) -> RewriteReport:
    """What the lowering pipeline did to an optimised graph, in place: what comes out is for the kernels.

    Afterwards the graph holds operators of the compiler's own domain `ai.graphopt`.  Arguments as for `optimize_graph`.
    """
    return _run(graph, lowering_passes(), level, skip, watcher)


def _run(
    graph: Graph, passes: Sequence[Pass], level: str | Exactness, skip: Sequence[str], watcher: Watcher | None
) -> RewriteReport:
    unknown = [name for name in skip if name not in known_names()]
    if unknown:
        raise GraphoptError(f"there is no pass {unknown[0]!r} to skip; there are {', '.join(sorted(known_names()))}")
    check_order(passes)
    exactness = Exactness.parse(level)
    infer_types(graph)
    return run_passes(graph, passes, level=exactness, skip=skip, watcher=watcher, refine=infer_types)
