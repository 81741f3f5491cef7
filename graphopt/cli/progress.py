"""What a person sees while a long step runs: its name and a spinner, on standard error, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from graphopt.report.wording import printable


@contextmanager
def step(doing: str) -> Generator[None]:
    """Shows `doing` until the block ends; nothing where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(f"{printable(doing)} …")):
        yield
