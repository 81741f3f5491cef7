"""`graphopt approve`: check a proposal or a ballot, see what it says, and sign it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphopt.cli.consent import YesOption
from graphopt.cli.options import AsJson, ChainOption

if TYPE_CHECKING:
    from graphopt.bundle import Manifest


def approve(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PROPOSAL_OR_BALLOT", help="A proposal's folder, or a ballot's file.", show_default=False
        ),
    ],
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Compile the model again first; sign only if the same bundle comes out.")
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            metavar="IN.onnx",
            help="Rebuild from this model, not from the one in the proposal.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="BALLOT",
            help="Write the signed ballot here; in its place when left out.",
            show_default=False,
        ),
    ] = None,
    yes: YesOption = False,
    chain: ChainOption = None,
    as_json: AsJson = False,
) -> None:
    """Approve what others proposed, once it is checked.

    Everything about a proposal is checked before you are asked: that ballot, manifest and model belong together, that a
    current member signed the manifest, that the ballot can still be executed. With --rebuild the model is compiled
    again with the recorded options and targets; every file and everything recorded must be the same, but the evidence,
    which is a measurement: this machine's own check must pass and is shown beside it. What you are about to sign is
    then shown, decoded. Nothing is executed on the chain.

    With `rebuild = true` under [approve] in your policy.toml, nothing is signed that was not rebuilt.

    \b
    Examples:
      graphopt approve digits.proposal --rebuild
      graphopt approve revocation.ballot.json
    """
    from graphopt.cli.consent import signing
    from graphopt.cli.output import check_writable
    from graphopt.cli.passphrase import prompted
    from graphopt.errors import InputError
    from graphopt.report import Entry, Facts, Format, Report, show
    from graphopt_governance.decide import deciding
    from graphopt_governance.home import Home

    if source is not None and not rebuild:
        raise InputError("--source says what to rebuild from; add --rebuild")
    if output is not None:
        check_writable(output)
    with signing("signing", yes=yes) as ask:
        approved = deciding.approve(
            path,
            rebuild=_rebuilding() if rebuild else None,
            source=source,
            output=output,
            home=Home.default(chain),
            passphrase=prompted(),
            ask=ask,
        )
    facts = (
        Entry("subject", "signed for", approved.subject),
        Entry("member", "as member", approved.member, Format.COUNT),
        Entry("rebuilt", "rebuilt first", approved.rebuilt),
        Entry("signatures", "signatures", approved.signatures, Format.COUNT),
        Entry("needed", "needed", approved.needed, Format.COUNT),
        Entry("missing", "missing", approved.missing, Format.COUNT),
        Entry("written", "written to", approved.written),
    )
    show(Report((Facts("", "Approved", facts),)), as_json=as_json)


def _rebuilding() -> Callable[[Manifest, Path], Any]:
    """The compiler's rebuild, which shows what it is doing."""

    def rebuild(manifest: Manifest, source: Path) -> Any:
        from graphopt.cli.progress import phases
        from graphopt.compiler import rebuild as compile_again

        with phases() as tell:
            return compile_again(manifest, source, progress=lambda phase: tell(f"rebuilding: {phase}"))

    return rebuild
