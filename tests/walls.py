"""Arrays between pages that nobody may touch: a kernel that reads or writes one byte too far ends the process.

Run what may do so in a process of its own, so that its end is a result.
"""

from __future__ import annotations

import ctypes
import mmap
import os

import numpy as np

PAGE = mmap.PAGESIZE
_NONE = 0  # PROT_NONE


def guarded(array: np.ndarray) -> np.ndarray:
    """A copy of the array, C-contiguous and writable, whose last byte lies right before a page without access."""
    return _walled(array, at_end=True)


def guarded_before(array: np.ndarray) -> np.ndarray:
    """A copy of the array, C-contiguous and writable, whose first byte lies right after a page without access."""
    return _walled(array, at_end=False)


def _walled(array: np.ndarray, *, at_end: bool) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.hasobject:
        return array  # strings: no kernel reads them
    room = -(-array.nbytes // PAGE) * PAGE
    block = mmap.mmap(-1, room + 2 * PAGE)
    start = PAGE + (room - array.nbytes if at_end else 0)
    made: np.ndarray = np.ndarray(array.shape, array.dtype, buffer=block, offset=start)  # keeps the block alive
    made[...] = array
    _close(block, 0)
    _close(block, PAGE + room)
    return made


def _close(block: mmap.mmap, offset: int) -> None:
    """Take all access to one page of a block away."""
    view = (ctypes.c_char * PAGE).from_buffer(block, offset)
    address = ctypes.addressof(view)
    del view
    if _mprotect(ctypes.c_void_p(address), ctypes.c_size_t(PAGE), _NONE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


_mprotect = ctypes.CDLL(None, use_errno=True).mprotect
