"""Options and arguments that several commands share, so that they are spelled and explained once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graphopt.errors import InputError


class Level(StrEnum):
    """How much a rewrite may change the numbers."""

    EXACT = "exact"
    REASSOCIATE = "reassociate"
    APPROXIMATE = "approximate"


ModelPath = Annotated[Path, typer.Argument(metavar="IN.onnx", help="The model to read.", show_default=False)]
BundlePath = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's folder.", show_default=False)]
EitherPath = Annotated[
    Path, typer.Argument(metavar="MODEL_OR_BUNDLE", help="An .onnx file or a bundle's folder.", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the same as data, as one JSON object.")]
LevelOption = Annotated[
    Level,
    typer.Option(
        "--level",
        help="What a rewrite may change: nothing (exact), rounding (reassociate), within a stated bound (approximate).",
    ),
]
SkipOption = Annotated[
    list[str] | None,
    typer.Option("--skip", metavar="PASS", help="Leave this pass out; may be repeated.", show_default=False),
]
ThreadsOption = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, help="Threads to run on; all cores when left out.")
]
InputOption = Annotated[
    Path | None,
    typer.Option("--input", metavar="IN.npz", help="Inputs by name, as numpy.savez writes them.", show_default=False),
]
RandomOption = Annotated[
    int | None,
    typer.Option("--random", metavar="SEED", min=0, help="Draw the inputs from this seed instead.", show_default=False),
]
DimOption = Annotated[
    list[str] | None,
    typer.Option("--dim", metavar="N=4", help="Size of a symbolic dimension of drawn inputs; may be repeated."),
]
NoGateOption = Annotated[
    bool,
    typer.Option("--no-gate", help="Do not ask whether the bundle is approved; its bytes are checked all the same."),
]
ChainOption = Annotated[
    str | None,
    typer.Option(
        "--chain",
        metavar="URL",
        envvar="GRAPHOPT_CHAIN",
        help="The node of an Ethereum chain; the embedded chain when left out.",
        show_default=False,
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="GRAPHOPT_STORE",
        help="Where bundles are shared: a folder, or a URL that fsspec knows.",
        show_default=False,
    ),
]


def seconds(text: str | None) -> float | None:
    """The seconds of a duration such as 90s, 30m, 24h or 7d."""
    if text is None:
        return None
    from graphopt_governance.verdict.policy import seconds as parsed

    try:
        return parsed(text)
    except ValueError as error:
        raise InputError(f"the duration is {error}") from None


PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        envvar="GRAPHOPT_POLICY",
        help="What is asked for beyond approval; the home's policy.toml when left out.",
        show_default=False,
    ),
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Do not ask the chain: judge from the proof that was kept when it was asked.")
]
MaxAgeOption = Annotated[
    str | None,
    typer.Option(
        "--max-age",
        metavar="24h",
        help="How old a kept proof may be that stands in for a chain which does not answer or is not asked.",
        show_default=False,
    ),
]
DaysOption = Annotated[
    float | None,
    typer.Option("--days", min=0.0, help="How long the approval lasts; for ever when left out.", show_default=False),
]


def expires_after(days: float | None) -> int:
    """When an approval ends that lasts so many days from now (seconds since the epoch); 0 for None, which is never."""
    import time

    if days is None:
        return 0
    if not days <= 1e6:
        raise InputError(f"--days {days} is no number of days that an approval could last")
    return int(time.time() + days * 86400)
