"""`graphopt diff`: what changed between two models or bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.options import AsJson
from graphopt.cli.progress import step
from graphopt.cli.source import read_either


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A model or a bundle.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="The one to compare with it.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Show what changed between two models or bundles.

    Interface, operators, weights, and node by node what became of it: an optimised model keeps a source map, so a
    fused node names the nodes it was made of, and the rewrites that did it. Of a bundle, its optimised model is
    compared. The exit code is 0 whether or not they differ.

    \b
    Examples:
      graphopt diff model.onnx model.optimized.onnx
      graphopt diff old.bundle new.bundle --json
    """
    from graphopt.report import show
    from graphopt.report.difference import describe_difference

    with step("comparing"):
        report = describe_difference(read_either(before)[0], read_either(after)[0])
    show(report, as_json=as_json)
