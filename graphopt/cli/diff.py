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
    compared; of two bundles, their records as well. The exit code is 0 whether or not they differ.

    \b
    Examples:
      graphopt diff model.onnx model.optimized.onnx
      graphopt diff old.bundle new.bundle --json
    """
    from graphopt.report import Report, show
    from graphopt.report.difference import describe_difference
    from graphopt.report.records import describe_records

    with step("comparing"):
        (old, old_manifest), (new, new_manifest) = read_either(before), read_either(after)
        report = describe_difference(old, new)
        if old_manifest is not None and new_manifest is not None:
            report = Report((*report.sections, describe_records(old_manifest, new_manifest)))
    show(report, as_json=as_json)
