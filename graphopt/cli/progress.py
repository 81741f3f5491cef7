"""What a person sees while a long step runs: its name, a spinner and the time, where standard error is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphopt.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress

_shown: list[Progress] = []


@contextmanager
def step(doing: str) -> Generator[None]:
    """Shows `doing` until the block ends; nothing where standard error is no terminal."""
    with phases() as tell:
        tell(doing)
        yield


@contextmanager
def phases() -> Generator[Callable[[str], None]]:
    """A function that shows what is being done now, until the block ends; without a terminal it does nothing."""
    if not sys.stderr.isatty():
        yield lambda doing: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)

        def tell(doing: str) -> None:
            progress.update(task, description=Text(printable(doing)).plain)

        _shown.append(progress)
        try:
            yield tell
        finally:
            _shown.remove(progress)


@contextmanager
def paused() -> Generator[None]:
    """Takes what is shown off the terminal until the block ends, so that a person can be asked something."""
    for progress in _shown:
        progress.stop()
    try:
        yield
    finally:
        for progress in _shown:
            progress.start()
