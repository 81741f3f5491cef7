"""Several nodes asked at once: who keeps silent, or takes its time, holds up nobody who has heard enough.

A question that nobody waits for any more is left to its thread, which ends with its answer (`MOST_SECONDS` at most); a
node that owes several answers is not asked again until it has given one.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Generic, TypeVar

from graphopt_governance.chains.rpc_endpoint import Endpoint
from graphopt_governance.chains.time_limit import seconds_left
from graphopt_governance.errors import ChainError, UnreachableError

GRACE_SECONDS = 1.0
"""For how long the rest are waited for when enough have answered, where what they say could be worth more."""

HEDGE_SECONDS = 0.5
"""After how long another node is asked for what any of them can prove."""

_MOST_OWED = 4

_T = TypeVar("_T")
_K = TypeVar("_K", bound=Hashable)


class Asking(Generic[_K, _T]):
    """Questions that are under way, a thread each.  What is left of them at the end of the `with` is not waited for."""

    def __init__(self) -> None:
        self._answers = SimpleQueue[tuple[_K, _T | BaseException]]()
        self._lock = Lock()
        self._under_way: dict[_K, Endpoint] = {}
        self._is_over = False

    def __enter__(self) -> Asking[_K, _T]:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_over = True
            for endpoint in self._under_way.values():
                endpoint.debts.add(1)

    @property
    def under_way(self) -> int:
        """How many answers have not been taken yet."""
        with self._lock:
            return len(self._under_way) + self._answers.qsize()

    def put(self, key: _K, endpoint: Endpoint, ask: Callable[[], _T], *, at_once: bool = False) -> None:
        """Ask `endpoint`, in a thread of its own, unless this is to be done `at_once`."""
        if endpoint.debts.count >= _MOST_OWED:
            self._answers.put((key, endpoint.unanswered(f" and owes {_MOST_OWED} answers")))
            return
        if at_once:
            self._answers.put((key, _safely(ask)))
            return
        with self._lock:
            self._under_way[key] = endpoint
        context = copy_context()
        # a daemon: a process that has what it wants does not wait for who keeps silent
        Thread(target=context.run, args=(self._run, key, endpoint, ask), name="graphopt-node", daemon=True).start()

    def next(self, seconds: float) -> tuple[_K, _T | ChainError] | None:
        """The next answer; None when none comes within so many seconds, or none is under way."""
        if not self.under_way:
            return None
        try:
            key, answer = self._answers.get(timeout=min(seconds, 1e6))
        except Empty:
            return None
        if isinstance(answer, BaseException) and not isinstance(answer, ChainError):
            raise answer
        return key, answer

    def _run(self, key: _K, endpoint: Endpoint, ask: Callable[[], _T]) -> None:
        answer = _safely(ask)
        with self._lock:
            del self._under_way[key]
            self._answers.put((key, answer))
            if self._is_over:
                endpoint.debts.add(-1)


class Poll(Generic[_T]):
    """What each node answered that did, in the order in which they did; the others' errors in `failures`."""

    def __init__(self) -> None:
        self.answers: dict[Endpoint, _T] = {}
        self.failures: dict[Endpoint, ChainError] = {}

    def alike(self, agree: int) -> tuple[_T, tuple[Endpoint, ...]] | None:
        """What `agree` nodes say alike, and which these are; None where there is no such thing."""
        if not self.answers:
            return None
        said = list(self.answers.values())
        most = max(said, key=said.count)
        nodes = tuple(endpoint for endpoint, other in self.answers.items() if other == most)
        return (most, nodes) if len(nodes) >= agree else None

    def failure(self, what: str = "") -> ChainError:
        """One error for what every node said that gave no answer; `what` in front where there was more than one."""
        failures = list(self.failures.values())
        if len(failures) == 1 and not self.answers:
            return failures[0]
        sentence = what + "; ".join(dict.fromkeys(map(str, failures)))
        silent = failures and all(isinstance(failure, UnreachableError) for failure in failures)
        return UnreachableError(sentence) if silent and not self.answers else ChainError(sentence)


def poll(
    endpoints: Sequence[Endpoint],
    agree: int,
    ask: Callable[[Endpoint], _T],
    is_enough: Callable[[Poll[_T]], bool] | None = None,
    grace_seconds: float = GRACE_SECONDS,
) -> Poll[_T]:
    """Ask all at once, until `agree` say the same, or, where it is given, `is_enough` says so.

    When `agree` have answered, the others have `grace_seconds` left; none is waited for beyond the limit of `within`.
    """
    heard = Poll[_T]()
    grace: float | None = None
    with Asking[Endpoint, _T]() as asking:
        for endpoint in endpoints:
            asking.put(endpoint, endpoint, _asking(ask, endpoint), at_once=is_alone(endpoints))
        while True:
            left = seconds_left() if grace is None else min(seconds_left(), max(0.0, grace - time.monotonic()))
            if (told := asking.next(left)) is None:
                break
            endpoint, answer = told
            if isinstance(answer, ChainError):
                heard.failures[endpoint] = answer
                continue
            heard.answers[endpoint] = answer
            if is_enough(heard) if is_enough is not None else heard.alike(agree) is not None:
                return heard
            if len(heard.answers) >= agree and grace is None:
                grace = time.monotonic() + grace_seconds
    for endpoint in endpoints:
        if endpoint not in heard.answers and endpoint not in heard.failures:
            heard.failures[endpoint] = endpoint.unanswered(" in time")
    return heard


def first_of(endpoints: Sequence[Endpoint], ask: Callable[[Endpoint], _T]) -> _T:
    """What the first node gives that gives it: one is asked, and, where it fails or takes its time, the next as well.

    ChainError with what all said when none does.
    """
    # who has not answered yet what it was asked before is asked last
    waiting = deque(sorted(endpoints, key=lambda endpoint: endpoint.debts.count))
    failed = Poll[_T]()
    with Asking[Endpoint, _T]() as asking:
        while True:
            if waiting:
                endpoint = waiting.popleft()
                asking.put(endpoint, endpoint, _asking(ask, endpoint), at_once=is_alone(endpoints))
            told = asking.next(seconds_left(HEDGE_SECONDS) if waiting else seconds_left())
            if told is None:
                if waiting and seconds_left():
                    continue
                break
            endpoint, answer = told
            if not isinstance(answer, ChainError):
                return answer
            failed.failures[endpoint] = answer
            if not waiting and not asking.under_way:
                break
    for endpoint in endpoints:
        if endpoint not in failed.failures:
            failed.failures[endpoint] = endpoint.unanswered(" in time")
    raise failed.failure()


def is_alone(endpoints: Sequence[Endpoint]) -> bool:
    """Whether there is nobody else to ask, and nothing that ends the waiting: then it needs no thread."""
    return len(endpoints) == 1 and seconds_left() == math.inf


def _asking(ask: Callable[[Endpoint], _T], endpoint: Endpoint) -> Callable[[], _T]:
    return lambda: ask(endpoint)


def _safely(ask: Callable[[], _T]) -> _T | BaseException:
    try:
        return ask()
    except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
        return error
