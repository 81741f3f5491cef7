"""Tables that several threads share: plans by key, bounded; contexts that one run borrows at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
LIMIT = 64


class PlanTable(Generic[K, V]):
    """A bounded table.  A hit takes no lock; when the table is full, the entry that was not used for longest goes."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._entries: dict[K, V] = {}
        self._used: dict[K, int] = {}
        self._clock = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The entry, or None."""
        found = self._entries.get(key)
        if found is not None:
            self._clock += 1
            self._used[key] = self._clock  # a race between threads costs a little precision, never an entry
        return found

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """The entry, made when it is missing (by one thread alone)."""
        found = self.get(key)
        if found is not None:
            return found
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                found = make()
                while len(self._entries) >= self.limit:
                    oldest = min(self._entries, key=lambda k: self._used.get(k, 0))
                    del self._entries[oldest]
                    self._used.pop(oldest, None)
                self._clock += 1
                self._used[key] = self._clock
                self._entries[key] = found
        return found


class ContextPool:
    """Contexts that wait for a run: as many as ever ran at once."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()

    def take(self, make: Callable[[], Any]) -> Any:
        """A context nobody else has; made when all are taken."""
        try:
            return self._waiting.pop()
        except IndexError:
            return make()

    def give(self, context: Any) -> None:
        """Put it back."""
        self._waiting.append(context)

    def clear(self) -> None:
        """Forget the contexts that wait."""
        self._waiting.clear()
