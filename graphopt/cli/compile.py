"""`graphopt compile`: a bundle that runs without a compiler, made here or taken from the federation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphopt.cli.options import AsJson, ChainOption, Level, LevelOption, ModelPath, SkipOption, StoreOption
from graphopt.cli.progress import phases, step

if TYPE_CHECKING:
    from graphopt.frontend import Source
    from graphopt_governance.share.reuse import Fetched

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
    from_federation: Annotated[
        bool,
        typer.Option("--from-federation", help="Take an approved bundle of the same model and options where one is."),
    ] = False,
    only_federation: Annotated[
        bool, typer.Option("--only-federation", help="The same, and fail where there is none instead of compiling.")
    ] = False,
    store: StoreOption = None,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Compile a model into a bundle that runs without a compiler.

    The bundle holds the optimised model, native code for each target, weights as the code reads them, and a manifest
    of how it was made, unsigned. The same model, options and versions give the same bundle, to the byte, on any
    machine. The result is run against the reference meaning of every operator, and the worst difference is put on
    record. An existing bundle of that name is replaced, anything else is left alone.

    With --from-federation, the federation's record is searched first for an approved bundle of this very model, these
    options and targets; it is taken from the store, checked in full, and nothing is compiled. Where none can be had,
    the model is compiled as usual, and standard error says why.

    \b
    Examples:
      graphopt compile model.onnx -o model.bundle
      graphopt compile model.onnx -o model.bundle --target x86-64-v3 --level exact
      graphopt compile model.onnx -o model.bundle --from-federation --store s3://models/store
    """
    from graphopt.bundle import read_manifest
    from graphopt.bundle.place import check_place
    from graphopt.cli.failure import warn
    from graphopt.compiler import compile as compile_onnx
    from graphopt.frontend import Source
    from graphopt.report import show
    from graphopt.report.compilation import describe_compilation
    from graphopt_governance.home import Home
    from graphopt_governance.share.build_time import keep_build_time
    from graphopt_kernels.cache import why_unused

    check_place(output)
    options: dict[str, Any] = {
        "targets": tuple(name.strip() for name in target.split(",") if name.strip()),
        "level": level.value,
        "check": not no_check,
        "skip": skip or (),
    }
    with step(f"reading {model}"):
        # once: what the federation is asked about is what is then compiled
        source = Source.read(model)
    if from_federation or only_federation:
        fetched = _from_federation(source, output, options, store, chain, must=only_federation)
        if fetched is not None:
            _show_fetched(f"{model} → {output}", fetched, as_json=as_json)
            return
    if (why := why_unused()) is not None:
        warn(f"{why}; compiling takes longer")
    with phases() as tell:
        compiled = compile_onnx(source, **options, progress=tell)
        tell("writing the bundle")
        compiled.save(output)
    manifest = read_manifest(output)
    keep_build_time(Home.default(chain), manifest.digest.hex(), compiled.report.seconds)
    show(describe_compilation(f"{model} → {output}", compiled.report, manifest), as_json=as_json)


def _from_federation(
    source: Source, output: Path, options: Mapping[str, Any], store: str | None, chain: str | None, *, must: bool
) -> Fetched | None:
    from graphopt.cli.failure import warn
    from graphopt.cli.gate import chosen_gate
    from graphopt.cli.passphrase import prompted
    from graphopt.compiler import build_request
    from graphopt.errors import RefusedError
    from graphopt_governance.home import Home
    from graphopt_governance.share.reuse import fetch_approved
    from graphopt_governance.share.store import Store

    opened = Store.chosen(store)
    gate = chosen_gate(no_gate=False, chain=chain)
    if gate is None:
        return None
    with step(f"looking in {opened.name}"):
        wanted = build_request(source, **options)
        search = fetch_approved(wanted, output, opened, gate, home=Home.default(chain), passphrase=prompted())
    for sentence in search.passed_over:
        warn(f"passed over: {sentence}")
    if search.fetched is None:
        nothing = "no approved bundle of this model with these options can be had"
        if must:
            raise RefusedError(nothing)
        warn(f"{nothing}; compiling")
    return search.fetched


def _show_fetched(title: str, fetched: Fetched, *, as_json: bool) -> None:
    from graphopt.bundle import read_manifest
    from graphopt.report import show
    from graphopt.report.compilation import describe_fetched

    manifest = read_manifest(fetched.bundle)
    report = describe_fetched(
        title,
        manifest,
        store=fetched.store,
        sealed=fetched.sealed,
        seconds=fetched.seconds,
        compiling=fetched.compiling,
    )
    show(report, as_json=as_json)
