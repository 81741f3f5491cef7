"""Waiting for others, but not for ever: calls that a slow or dead server cannot hold up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


class Patience:
    """Time to wait for a server: `seconds` to begin with, more for what it did, and then no more.

    A call that is given up goes on in a thread of its own until it ends; nobody looks at what it gives.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Wait so much longer, because something came."""
        self._until += seconds

    def call(self, function: Callable[[], Result]) -> Result:
        """What `function` gives, or raises; TimeoutError when there is no time left for it."""
        done = threading.Event()
        results, errors = list[Result](), list[BaseException]()

        def work() -> None:
            try:
                results.append(function())
            except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that waits
                errors.append(error)
            finally:
                done.set()

        threading.Thread(target=work, daemon=True).start()
        if not done.wait(max(0.0, self._until - time.monotonic())):
            raise TimeoutError
        if errors:
            raise errors[0]
        return results[0]
