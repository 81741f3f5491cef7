"""A running process asks again: one thread for all models that came through one gate.

A revocation is noticed within the stated seconds and the time that the chain takes to answer.  Where the chain cannot
be asked, models run on while a kept proof may stand in for it (`Judge`, by the policy's `max_age`), or, where none may,
for as long as three questions take; then they are withdrawn too.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from graphopt.bundle import Manifest
from graphopt.bundle.gate import Revocable
from graphopt.errors import GraphoptError, RefusedError
from graphopt_governance.errors import UnreachableError
from graphopt_governance.verdict.policy import span
from graphopt_governance.verdict.verify import Verdict

_QUESTIONS = 3
"""How many questions in a row may go without an answer."""

_LONGEST_NAP = 3600.0
"""A thread cannot wait for any number of seconds at once."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    manifest: Manifest
    model: weakref.ref[Revocable]
    every: float


class Watch:
    """Asks `judge` about what `add` was given, in a daemon thread that lives while any of these models does.

    `close` ends the asking, and withdraws what is still loaded: nothing runs on unwatched that was to be watched.  A
    forked process asks for itself.
    """

    def __init__(self, judge: Callable[[Manifest], Verdict]) -> None:
        self._judge = judge
        self._closed = False
        self._begin()
        self._loaded: list[_Loaded] = []
        _all.add(self)

    def add(self, manifest: Manifest, model: Revocable, every: float) -> None:
        """Ask about `manifest` each `every` seconds (more than 0) from now on, for as long as `model` lives."""
        if not every > 0:
            raise ValueError(f"asking again takes a number of seconds above 0, not {every}")
        with self._lock:
            if self._closed:
                raise RefusedError("refused: the gate that is to watch this model is closed")
            self._loaded.append(_Loaded(manifest, weakref.ref(model), every))
            self._start()
        # who waits may have to wake up sooner now
        self._wake.set()

    def close(self) -> None:
        """Ask no more, and withdraw what is loaded still."""
        with self._lock:
            self._closed = True
        self._wake.set()
        self._withdraw("the gate that watched it was closed", self._living())

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._answered = dict[bytes, float]()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="graphopt-gate", daemon=True)
            self._thread.start()

    def resume(self) -> None:
        """In a forked process, which has no thread but the one that forked: begin again."""
        self._begin()
        if self._loaded and not self._closed:
            self._start()

    def _living(self) -> list[_Loaded]:
        with self._lock:
            self._loaded = [loaded for loaded in self._loaded if loaded.model() is not None]
            return list(self._loaded)

    def _run(self) -> None:
        asked = time.monotonic()
        try:
            while True:
                # forgotten before it is looked what there is to do, so that no call is missed
                self._wake.clear()
                with self._lock:
                    if self._closed:
                        return
                    self._loaded = living = [loaded for loaded in self._loaded if loaded.model() is not None]
                    if not living:
                        self._thread = None
                        return
                every = min(loaded.every for loaded in living)
                if (left := asked + every - time.monotonic()) > 0:
                    # woken for a shorter interval, or to end; either way what is above is looked at again
                    self._wake.wait(min(left, _LONGEST_NAP))
                    continue
                asked = time.monotonic()
                self._ask(living, every)
        except BaseException as error:
            # a thread that dies must not leave models running that nobody watches
            self._withdraw(f"asking again failed: {error!r}", self._living())
            raise

    def _ask(self, living: list[_Loaded], every: float) -> None:
        by_digest: dict[bytes, list[_Loaded]] = {}
        for loaded in living:
            by_digest.setdefault(loaded.manifest.digest, []).append(loaded)
        now = time.monotonic()
        # by digest: a node that answers about one bundle may keep silent about another; admitted, it was just asked
        self._answered = {digest: self._answered.get(digest, now - every) for digest in by_digest}
        nobody: UnreachableError | None = None
        for digest, same in by_digest.items():
            failure = nobody or self._question(digest, same)
            if isinstance(failure, UnreachableError):
                # where nobody answers, waiting for an answer about each of a thousand bundles would take hours
                nobody = failure
            silent = time.monotonic() - self._answered[digest]
            if failure is not None and silent > _QUESTIONS * every:
                self._withdraw(f"the chain could not be asked for {span(silent)}: {failure}", same)

    def _question(self, digest: bytes, same: list[_Loaded]) -> GraphoptError | OSError | None:
        """Ask about one bundle, and withdraw it where it may not run; what it was that kept it from being answered."""
        try:
            verdict = self._judge(same[0].manifest)
        except (GraphoptError, OSError) as error:
            return error
        self._answered[digest] = time.monotonic()
        if not verdict.approved:
            self._withdraw(verdict.sentence, same)
        return None

    def _withdraw(self, why: str, loaded: list[_Loaded]) -> None:
        for one in loaded:
            if (model := one.model()) is not None:
                model.withdraw(why)
        gone = {id(one) for one in loaded}
        with self._lock:
            self._loaded = [one for one in self._loaded if id(one) not in gone]


_all: weakref.WeakSet[Watch] = weakref.WeakSet()


def _resume_all() -> None:
    for watch in list(_all):
        watch.resume()


os.register_at_fork(after_in_child=_resume_all)
