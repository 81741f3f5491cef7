"""`graphopt compile`: a bundle that runs without a compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.options import AsJson, Level, LevelOption, ModelPath, SkipOption
from graphopt.cli.progress import phases

TARGETS = "x86-64-v3,x86-64-v4"


def compile_model(
    model: ModelPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="BUNDLE", help="The folder to write.", show_default=False)
    ],
    target: Annotated[
        str, typer.Option("--target", metavar="NAMES", help="Machines to make code for, separated by commas.")
    ] = TARGETS,
    level: LevelOption = Level.REASSOCIATE,
    skip: SkipOption = None,
    no_check: Annotated[bool, typer.Option("--no-check", help="Do not run the result against the reference.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compile a model into a bundle that runs without a compiler.

    The bundle holds the optimised model, native code for each target, weights as the code reads them, and a manifest
    of how it was made, unsigned. The same model, options and versions give the same bundle, to the byte, on any
    machine. The result is run against the reference meaning of every operator, and the worst difference is put on
    record. An existing bundle of that name is replaced, anything else is left alone.

    \b
    Examples:
      graphopt compile model.onnx -o model.bundle
      graphopt compile model.onnx -o model.bundle --target x86-64-v3 --level exact
    """
    from graphopt.bundle import read_manifest
    from graphopt.bundle.place import check_place
    from graphopt.compiler import compile as compile_onnx
    from graphopt.report import show
    from graphopt.report.compilation import describe_compilation

    check_place(output)
    targets = tuple(name.strip() for name in target.split(",") if name.strip())
    with phases() as tell:
        compiled = compile_onnx(
            model, targets=targets, level=level.value, check=not no_check, skip=skip or (), progress=tell
        )
        tell("writing the bundle")
        compiled.save(output)
    report = describe_compilation(f"{model} → {output}", compiled.report, read_manifest(output))
    show(report, as_json=as_json)
