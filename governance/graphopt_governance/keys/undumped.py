"""A process that holds an open key gives its memory to nobody: no core file, no debugger of the same user.

It stays so for the process's whole life, because Python does not say when the last copy of a key is gone.  Programs
that it starts are as others.  This keeps nothing from root, from swap, or from a debugger that was attached before.
"""

from __future__ import annotations

import ctypes
from functools import cache

_PR_SET_DUMPABLE = 4
"""prctl(2)."""


@cache
def keep_to_itself() -> None:
    """Let nobody but root read this process's memory from now on; no error where the system cannot do that."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
