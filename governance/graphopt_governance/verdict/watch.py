"""A running process asks again: one thread for all models that came through one gate.

A revocation that enough nodes prove is obeyed within the stated seconds and `ROUND_SECONDS`, whatever one of them does.
A round is one reading of the chain for all models; what is refused by what is proven is withdrawn before anything else
is asked, such as why.  What is not answered in time counts as silence.  In silence models run on while a kept proof may
stand in for the chain (`Judge`, by the policy's `max_age`), or, where none may, for as long as three questions take;
then they are withdrawn too.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from graphopt.bundle import Manifest
from graphopt.bundle.gate import Revocable
from graphopt.errors import GraphoptError, RefusedError
from graphopt_governance.chains.time_limit import within
from graphopt_governance.errors import UnreachableError
from graphopt_governance.verdict.policy import span
from graphopt_governance.verdict.verify import Verdict

ROUND_SECONDS = 20.0
"""How long asking about all models may take, each time; what was not answered by then was not answered."""

_TELL_SECONDS = 5.0
"""How long may be asked why models were withdrawn, which they are already."""

Together = Callable[[Sequence[Manifest]], Callable[[Manifest, bool], Verdict]]
"""Gives what judges each of these by one reading of the chain; the flag says whether events are asked for as well."""

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

    `together`, where it is given, is asked instead, once a round.  `close` ends the asking, and withdraws what is still
    loaded: nothing runs on unwatched that was to be watched.  A forked process asks for itself.
    """

    def __init__(self, judge: Callable[[Manifest], Verdict], together: Together | None = None) -> None:
        self._together = together or _one_by_one(judge)
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
        refused: list[_Loaded] = []
        with within(ROUND_SECONDS):
            judge = self._together([same[0].manifest for same in by_digest.values()])
            for digest, same in by_digest.items():
                try:
                    verdict = judge(same[0].manifest, False)
                except (GraphoptError, OSError) as error:
                    silent = time.monotonic() - self._answered[digest]
                    if silent > _QUESTIONS * every:
                        self._withdraw(f"the chain could not be asked for {span(silent)}: {error}", same)
                    continue
                self._answered[digest] = time.monotonic()
                if not verdict.approved:
                    self._withdraw(verdict.sentence, same)
                    refused += [] if verdict.told else same
        with within(_TELL_SECONDS):
            for one in refused:
                self._tell(one, judge)

    def _tell(self, one: _Loaded, judge: Callable[[Manifest, bool], Verdict]) -> None:
        """Withdraw once more, with what the events add to the reason, where they can be had."""
        with suppress(GraphoptError, OSError):
            verdict = judge(one.manifest, True)
            if not verdict.approved and (model := one.model()) is not None:
                model.withdraw(verdict.sentence)

    def _withdraw(self, why: str, loaded: list[_Loaded]) -> None:
        for one in loaded:
            if (model := one.model()) is not None:
                model.withdraw(why)
        gone = {id(one) for one in loaded}
        with self._lock:
            self._loaded = [one for one in self._loaded if id(one) not in gone]


def _one_by_one(judge: Callable[[Manifest], Verdict]) -> Together:
    """Judges each by a reading of its own; where nobody answers about one, nobody is asked about the others."""

    def begin(_: Sequence[Manifest]) -> Callable[[Manifest, bool], Verdict]:
        nobody: list[UnreachableError] = []

        def judged(manifest: Manifest, told: bool) -> Verdict:
            if nobody:
                raise nobody[0]
            try:
                return judge(manifest)
            except UnreachableError as error:
                nobody.append(error)
                raise

        return judged

    return begin


_all: weakref.WeakSet[Watch] = weakref.WeakSet()


def _resume_all() -> None:
    for watch in list(_all):
        watch.resume()


os.register_at_fork(after_in_child=_resume_all)
