"""`graphopt bom`: a bundle as a bill of materials."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.cli.options import AsJson, BundlePath, ChainOption
from graphopt.cli.progress import step

if TYPE_CHECKING:
    from graphopt.bundle import Manifest


def bom(
    bundle: BundlePath,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Where to write it, if not to standard output.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What the model is called in it.")
    ] = "graphopt-bundle",
    dated: Annotated[
        bool, typer.Option("--dated", help="Put the time in ($SOURCE_DATE_EPOCH, else now); it is then never the same.")
    ] = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Export a bundle's bill of materials (ML-BOM, CycloneDX 1.6 in JSON).

    It names the optimised model and the model it was made from with their digests, every file with its hash, the tools
    with their versions, the options, the rewrites, the evidence, the signature, and what the federation says where
    there is one. Every byte of the bundle is checked first. The same bundle under the same decisions gives the same
    bytes. With --output, --json prints what was written where.

    \b
    Examples:
      graphopt bom model.bundle -o model.cdx.json
      graphopt bom model.bundle --name digits | jq .metadata.component
    """
    import json

    from graphopt.bundle import check_files, read_manifest
    from graphopt.cli.output import check_writable, replacing
    from graphopt.report import Entry, Facts, Report, show
    from graphopt.report.bom import bill_of_materials
    from graphopt_governance import actions
    from graphopt_governance.chains.opening import open_chain
    from graphopt_governance.home import Home

    if output is not None:
        check_writable(output)
    with step(f"reading {bundle}"):
        manifest = read_manifest(bundle)
        check_files(bundle, manifest)
        home = Home.default(chain)
        verdict = None if open_chain(home) is None else actions.verify(bundle, home).to_json()
        inputs, outputs = _interface(bundle, manifest)
        document = bill_of_materials(
            manifest,
            name=name,
            inputs=inputs,
            outputs=outputs,
            verdict=verdict,
            time=_now() if dated else None,
        )
    text = json.dumps(document, indent=2) + "\n"
    if output is None:
        typer.echo(text, nl=False)
        return
    with replacing(output) as beside:
        beside.write_text(text, encoding="utf-8")
    facts = (
        Entry("file", "file", str(output)),
        Entry("digest", "digest", manifest.digest.hex()),
        Entry("serial_number", "serial number", document["serialNumber"]),
    )
    show(Report((Facts("", "Bill of materials", facts),)), as_json=as_json)


def _interface(bundle: Path, manifest: Manifest) -> tuple[list[str], list[str]]:
    """The inputs and outputs with their types, of a bundle that this version can run; else none."""
    from graphopt.bundle import read_recorded
    from graphopt.bundle.artifact import PROGRAM
    from graphopt.program import decode
    from graphopt.program.decode import MAX_BYTES
    from graphopt.report.model import text_of

    content = read_recorded(bundle, manifest, PROGRAM, MAX_BYTES)
    if content is None:
        return [], []
    image = decode(content)
    if not image.programs:
        return [], []
    program = image.programs[0]
    inputs = [f"{program.values[at].name}: {text_of(program.values[at].type)}" for at in program.inputs]
    outputs = [f"{output.name}: {text_of(program.values[output.value].type)}" for output in program.outputs]
    return inputs, outputs


def _now() -> int:
    import os
    import time

    from graphopt.errors import GraphoptError

    named = os.environ.get("SOURCE_DATE_EPOCH")
    if named is None:
        return int(time.time())
    if not named.isascii() or not named.isdigit() or int(named) > 253402300799:
        raise GraphoptError("SOURCE_DATE_EPOCH is not a number of seconds since the epoch")
    return int(named)
