"""A team of threads that walks tables of launches together, inside native code with the GIL released.

    table = Table(rows)                  # (kernel address, block address, alone) of each launch, in order
    team = Team(library, size)           # starts size - 1 threads; they spin for a moment after work, then sleep
    team.run(table)                      # returns when every launch is done

Imports numpy, ctypes and threading alone.  A team runs one table at a time: `run` waits its turn, `try_run` does not.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Sequence

import numpy as np

from graphopt_kernels.bind import run as fields
from graphopt_kernels.load import Library


class Table:
    """A list of launches as the run loop reads it.  The blocks at the addresses must outlive it and stay in place.

    `alone` marks a launch that one member makes by itself: one too small to be worth sharing.  With `stamped`,
    `stamps` holds after each run one cycle count before each launch, and one at the end.
    """

    def __init__(self, rows: Sequence[tuple[int, int, bool]], *, stamped: bool = False) -> None:
        self.rows = np.array([(a, b, fields.ALONE if alone else 0) for a, b, alone in rows], np.int64).reshape(
            -1, fields.ROW
        )
        self.stamps = np.zeros(len(rows) + 1, np.int64) if stamped else None
        self._barrier = np.zeros(fields.BARRIER_WORDS, np.int64)
        job = np.zeros(fields.JOB_WORDS, np.int64)
        job[fields.TABLE] = self.rows.ctypes.data
        job[fields.COUNT] = len(rows)
        job[fields.BARRIER] = self._barrier.ctypes.data
        job[fields.STAMPS] = 0 if self.stamps is None else self.stamps.ctypes.data
        self._job = job
        self.address: int = job.ctypes.data
        """The job's address: `loop(table.address, 0, 1)` walks it with one thread."""

    def __len__(self) -> int:
        return len(self.rows)


class Team:
    """`size` threads, the caller of `run` among them.  Closed by `close()`, by `with`, or when it is collected."""

    def __init__(self, library: Library, size: int = 1) -> None:
        if size < 1:
            raise ValueError(f"a team has at least one thread, not {size}")
        self.size = size
        self._lock = threading.Lock()
        self._loop = library.function(fields.LOOP.symbol)
        self._lead = library.function(fields.LEAD.symbol)
        self._serve = library.function(fields.SERVE.symbol)
        self._mailbox = np.zeros(fields.MAILBOX_WORDS, np.int64)
        self._process = 0
        self._close = weakref.finalize(self, _stop, self._lead, self._mailbox, [])

    def run(self, table: Table) -> None:
        """Walk the table with the whole team; another thread's table goes first if it came first."""
        with self._lock:
            self._walk(table)

    def try_run(self, table: Table) -> bool:
        """Walk the table with the whole team if it is free; False when it is not."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._walk(table)
        finally:
            self._lock.release()
        return True

    def run_alone(self, table: Table) -> None:
        """Walk the table with the calling thread only; any number of threads may do so at once, each with its table."""
        self._loop(table.address, 0, 1)

    def close(self) -> None:
        """Let the other threads end; `run` starts them anew."""
        with self._lock:
            self._end()

    def __enter__(self) -> Team:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _walk(self, table: Table) -> None:
        if len(table) == 0:
            return
        if self.size == 1:
            self._loop(table.address, 0, 1)
            return
        if self._process != os.getpid():  # a fork copies no threads
            self._start()
        self._mailbox[fields.JOB] = table.address
        self._lead(self._mailbox.ctypes.data, 0, self.size)

    def _start(self) -> None:
        self._mailbox = _new_mailbox()
        address = self._mailbox.ctypes.data
        threads = [
            threading.Thread(
                target=self._serve, args=(address, member, self.size), name=f"graphopt-{member}", daemon=True
            )
            for member in range(1, self.size)
        ]
        for thread in threads:
            thread.start()
        self._process = os.getpid()
        self._close = weakref.finalize(self, _stop, self._lead, self._mailbox, threads)

    def _end(self) -> None:
        if self._process == os.getpid():
            self._close()
        self._process = 0


def _new_mailbox() -> np.ndarray:
    words = np.zeros(fields.MAILBOX_WORDS + 8, np.int64)
    start = -(words.ctypes.data // 8) % 8  # on a cache line of its own
    mailbox = words[start : start + fields.MAILBOX_WORDS]
    sem_init = ctypes.CDLL(None).sem_init
    sem_init.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint]
    if sem_init(mailbox.ctypes.data + 8 * fields.SEMAPHORE, 0, 0) != 0:
        raise OSError("sem_init failed: this machine gives no semaphores")
    return mailbox


def _stop(lead: object, mailbox: np.ndarray, threads: list[threading.Thread]) -> None:
    if threads and callable(lead):
        mailbox[fields.STOP] = 1
        lead(mailbox.ctypes.data, 0, 1 + len(threads))
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join()
