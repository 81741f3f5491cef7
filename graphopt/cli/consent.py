"""What a person sees, and answers, before a key signs: the content decoded, and one question."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from graphopt.cli.progress import step
from graphopt.errors import GraphoptError
from graphopt.text import printable

YesOption = Annotated[
    bool, typer.Option("--yes", help="Sign without being asked; what is signed is shown all the same.")
]


class NotSignedError(GraphoptError):
    """The owner of a key did not agree, or could not be asked, so nothing was signed."""


def consent(lines: Sequence[str], *, yes: bool, question: str = "Sign?", otherwise: str = "nothing was signed") -> None:
    """Returns when the person agrees to sign what `lines` say; NotSignedError when not, or when nobody can be asked.

    Where something else than a signature hangs on the answer, `question` says what, and `otherwise` what a no means.

    The lines go to standard error, and nothing in them reaches the terminal but as text.  With `yes` nobody is asked.
    """
    for line in lines:
        typer.echo(printable(line), err=True)
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NotSignedError(f"{otherwise}: there is no terminal to ask on; read what is above, then add --yes")
    # what was typed before the question was there is no answer to it
    _forget_typed()
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise NotSignedError(f"{otherwise}: the answer was not yes")


@contextmanager
def signing(doing: str, *, yes: bool) -> Generator[Callable[[Sequence[str]], None]]:
    """What asks for consent inside the block; once there is consent, `doing` is shown until the block ends."""
    with ExitStack() as stack:

        def ask(lines: Sequence[str]) -> None:
            stack.close()  # nothing may draw over a question
            consent(lines, yes=yes)
            stack.enter_context(step(doing))

        yield ask


def _forget_typed() -> None:
    import termios

    termios.tcflush(sys.stdin, termios.TCIFLUSH)
