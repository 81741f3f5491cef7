"""How long may be asked: a limit that holds for everything inside it, however many questions that takes."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_end: ContextVar[float] = ContextVar("end", default=math.inf)


@contextmanager
def within(seconds: float) -> Generator[None]:
    """Let what is asked in the block go unanswered after so many seconds; a limit around this one still holds."""
    token = _end.set(min(_end.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _end.reset(token)


def seconds_left(most: float = math.inf) -> float:
    """How many seconds the innermost limit leaves, and no more than `most`; 0 when it is over."""
    return max(0.0, min(most, _end.get() - time.monotonic()))
