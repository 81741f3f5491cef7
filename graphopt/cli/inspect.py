"""`graphopt inspect`: what a model or a bundle is."""

from __future__ import annotations

from graphopt.cli.options import AsJson, EitherPath
from graphopt.cli.progress import step


def inspect_path(path: EitherPath, as_json: AsJson = False) -> None:
    """Show what a model or a bundle is.

    Of a model: inputs, outputs, operators, sizes. Of a bundle also: its manifest, the rewrites that made it, which
    calls are native, the evidence, the signature. Nothing is executed; of a bundle every byte is checked.

    \b
    Examples:
      graphopt inspect model.onnx
      graphopt inspect model.bundle --json
    """
    from graphopt.frontend import read_onnx
    from graphopt.report import show
    from graphopt.report.model import describe_model

    with step(f"reading {path}"):
        report = describe_model(read_onnx(path))
    show(report, as_json=as_json)
