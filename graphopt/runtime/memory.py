"""Blocks of memory that begin where vector loads want them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache

import numpy as np

from graphopt.errors import InputError
from graphopt.runtime.arena import ALIGNMENT, aligned


@cache
def machine_memory() -> int:
    """The bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def afford(nbytes: int) -> int:
    """The number of bytes, where the machine has so many; InputError where it has not."""
    if nbytes > machine_memory():
        raise InputError(
            f"this request needs more memory than there is ({nbytes} bytes of {machine_memory()}); make it smaller"
        )
    return nbytes


def aligned_memory(nbytes: int) -> np.ndarray:
    """Memory of `nbytes` bytes, uint8, that begins at a multiple of 64."""
    store = np.empty(nbytes + ALIGNMENT, np.uint8)
    skip = -store.ctypes.data % ALIGNMENT
    return store[skip : skip + nbytes]


def joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    """The bytes of all parts in one block, each part at a multiple of 64, zeros between them."""
    parts = list(parts)
    block = aligned_memory(sum(aligned(part.nbytes) for part in parts))
    block[:] = 0
    at = 0
    for part in parts:
        block[at : at + part.nbytes] = np.frombuffer(part.tobytes(), np.uint8)
        at += aligned(part.nbytes)
    return block
