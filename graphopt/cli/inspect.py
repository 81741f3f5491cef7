"""`graphopt inspect`: what a model or a bundle is."""

from __future__ import annotations

from graphopt.cli.options import AsJson, EitherPath
from graphopt.cli.progress import step
from graphopt.cli.source import read_either


def inspect_path(path: EitherPath, as_json: AsJson = False) -> None:
    """Show what a model or a bundle is.

    Of a model: inputs, outputs, operators, sizes. Of a bundle also: its manifest, the rewrites that made it, which
    calls are native, the evidence, the signature. Nothing is executed; of a bundle every byte is checked.

    \b
    Examples:
      graphopt inspect model.onnx
      graphopt inspect model.bundle --json
    """
    from graphopt.report import Report, show
    from graphopt.report.bundle import describe_bundle
    from graphopt.report.model import describe_model

    with step(f"reading {path}"):
        graph, manifest = read_either(path)
        report = describe_model(graph)
        if manifest is not None:
            report = Report((*describe_bundle(manifest), *report.sections))
    show(report, as_json=as_json)
