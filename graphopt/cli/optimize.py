"""`graphopt optimize`: a model that computes the same with less."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.options import AsJson, Level, LevelOption, ModelPath, SkipOption
from graphopt.cli.progress import step


def optimize(
    model: ModelPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="OUT.onnx", help="Where to write it.", show_default=False)
    ],
    level: LevelOption = Level.REASSOCIATE,
    skip: SkipOption = None,
    as_json: AsJson = False,
) -> None:
    """Write a model that computes the same with less.

    Inputs, outputs, names, types and symbolic dimensions stay. Each node of the result says which nodes of the
    source it stands for; `graphopt diff` shows it. OUT.onnx is written complete or not at all.

    \b
    Examples:
      graphopt optimize model.onnx -o model.optimized.onnx
      graphopt optimize model.onnx -o exact.onnx --level exact
      graphopt optimize model.onnx -o kept.onnx --skip fuse-conv-batchnorm
    """
    from graphopt.cli.output import check_writable
    from graphopt.compiler import optimize_graph
    from graphopt.frontend import read_onnx, save_onnx
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt.report.model import weight_bytes
    from graphopt.report.rewrites import describe_rewrites

    check_writable(output)
    with step(f"reading {model}"):
        graph = read_onnx(model)
        bytes_before = weight_bytes(graph)
    with step("optimising"):
        rewrites = optimize_graph(graph, level=level.value, skip=skip or ())
    with step(f"writing {output}"):
        save_onnx(graph, output)
    facts = Facts(
        "",
        f"{model} → {output}",
        (
            Entry("level", "level", level.value),
            *(Entry("note", "note", note) for note in graph.notes),
            Entry("nodes_before", "nodes before", rewrites.nodes_before, Format.COUNT),
            Entry("nodes_after", "nodes after", rewrites.nodes_after, Format.COUNT),
            Entry("weight_bytes_before", "weights before", bytes_before, Format.BYTES),
            Entry("weight_bytes_after", "weights after", weight_bytes(graph), Format.BYTES),
            Entry("seconds", "time in passes", rewrites.seconds, Format.SECONDS),
        ),
    )
    show(Report((facts, *describe_rewrites(rewrites))), as_json=as_json)
