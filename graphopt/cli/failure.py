"""What a person sees when a command fails: one sentence, and an exit code that a script can use."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

import typer

from graphopt.errors import GraphoptError
from graphopt.text import one_sentence, printable

CANNOT = 2
"""The command could not be done: bad input, bad model, refused bundle, full disk."""
BUG = 70
"""graphopt itself is wrong (EX_SOFTWARE of sysexits.h)."""

TRACEBACK = "GRAPHOPT_TRACEBACK"
"""Set this environment variable to anything, and errors keep their traceback."""


@contextmanager
def sentences_for_errors() -> Generator[None]:
    """Turns every failure inside the block into one sentence on standard error and `typer.Exit`."""
    try:
        yield
    except GraphoptError as error:
        _end(one_sentence(error), CANNOT, error)
    except BrokenPipeError:
        # The reader left; what it did not take must not fail again when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(141) from None
    except OSError as error:
        _end(_about_the_system(error), CANNOT, error)
    except MemoryError as error:
        _end("there is not enough memory for this", CANNOT, error)
    except Exception as error:
        if type(error).__module__.startswith(("typer", "click")):
            raise  # the library's own ways to end a command
        name = f"{type(error).__name__}: {one_sentence(error)}"
        _end(f"internal error, please report it: {name} ({TRACEBACK}=1 shows where)", BUG, error)


@contextmanager
def quoting_nothing_raw() -> Generator[None]:
    """Makes the library's own errors printable on their way out of the block; they are shown by the library."""
    try:
        yield
    except Exception as error:
        message = getattr(error, "format_message", None)
        if callable(message):
            said = printable(str(message()))
            error.format_message = lambda: said  # pyright: ignore[reportAttributeAccessIssue]
        raise


def tell(sentence: str) -> None:
    """Prints one sentence on standard error: the only way there, so that nothing steers the terminal."""
    typer.echo(f"graphopt: {printable(sentence)}", err=True)


def warn(sentence: str) -> None:
    """Prints one remark on standard error."""
    tell(f"note: {sentence}")


def _end(sentence: str, code: int, error: Exception) -> None:
    tell(sentence)
    if os.environ.get(TRACEBACK):
        raise error
    raise typer.Exit(code) from None


def _about_the_system(error: OSError) -> str:
    reason = one_sentence(error) if error.errno is None else os.strerror(error.errno)
    where: object = error.filename2 or error.filename
    return f"{printable(os.fsdecode(where))}: {reason}" if isinstance(where, str | bytes | os.PathLike) else reason
