"""What several `graphopt fed` commands read from the command line alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.errors import GraphoptError

if TYPE_CHECKING:
    from graphopt_governance.chains.chain import Checkpoint
    from graphopt_governance.protocol.action import Right

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

RightsOption = Annotated[
    str | None,
    typer.Option(
        "--rights",
        metavar="LIST",
        help="Of propose, approve, revoke, report, decrypt, with commas between them; or all, or none.",
        show_default=False,
    ),
]
LedgerOption = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="FILE",
        help="The file of an embedded chain; it is shared by all who can read and write it.",
        show_default=False,
    ),
]


class OptionError(GraphoptError):
    """An option's value cannot be understood."""


def rights_of(text: str) -> Right:
    """The rights in `propose,approve`, `all` or `none`; OptionError for any other word."""
    from graphopt_governance.protocol.action import ALL_RIGHTS, Right, names_of, rights_named

    if text == "all":
        return ALL_RIGHTS
    if text == "none":
        return Right(0)
    try:
        return rights_named(word.strip() for word in text.split(","))
    except KeyError as error:
        raise OptionError(f"there is no right {error.args[0].lower()!a}: {', '.join(names_of(ALL_RIGHTS))}") from None


def checkpoint_of(text: str) -> Checkpoint:
    """The block in `NUMBER:HASH`; OptionError for anything else."""
    from graphopt_governance.chains.chain import Checkpoint

    match = re.fullmatch(r"([0-9]{1,15}):(?:0x)?([0-9a-fA-F]{64})", text)
    if match is None:
        raise OptionError(f"{text[:100]!a} is no checkpoint: a block's number, a colon, its hash in hexadecimal")
    return Checkpoint(int(match[1]), bytes.fromhex(match[2]))


def seconds_of(text: str) -> int:
    """The seconds in `90`, `15m`, `12h` or `1d`; OptionError for anything else."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if match is None:
        raise OptionError(f"{text!a} is no length of time: a number of seconds, or with m, h or d after it (15m, 1d)")
    return int(match[1]) * _UNITS[match[2]]
