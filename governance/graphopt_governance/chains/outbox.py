"""The outbox of a home: the last transaction that was signed for a real chain, and whether it is final.

It is written before it is sent, so that a process which is killed at any moment leaves behind what it takes to go on:
the next one waits for the same transaction, sends the same bytes again, or replaces them under the same nonce.  A
chain executes one transaction a nonce, so nothing is done or paid twice.  A final one stays until the next is sent:
whoever repeats a command, because its process died before it could tell, has the same receipt for an answer, as long as
the chain proves that what was done then still stands.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from graphopt import strict_json
from graphopt_governance.chains.fees import Fees
from graphopt_governance.chains.transaction import Transaction, created_address
from graphopt_governance.documents import MAX_BYTES, Fields
from graphopt_governance.errors import ChainError
from graphopt_governance.keys.key_files import make_private_folder, replace_key_file, sync_folder
from graphopt_governance.keys.own_files import read_own_file
from graphopt_governance.protocol.action import Action, Domain, Kind
from graphopt_governance.protocol.contract import State, deployed, executed
from graphopt_governance.protocol.effect import is_done, is_founded, is_past, is_waiting

FORMAT = "graphopt/outbox/v1"
MAX_ATTEMPTS = 24
_MAX_HEX = 40_000
"""Of one transaction: the contract's own code is the longest."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One signed form of a transaction: its bytes, and what it offers."""

    raw: bytes
    fees: Fees

    @property
    def digest(self) -> bytes:
        """The transaction's hash (32 bytes)."""
        return keccak(self.raw)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A transaction, in words for people, and its signed forms: all of one nonce, so at most one is ever executed.

    `to` is None for one that creates a contract; `block` is the one it is in, once that is final.
    """

    what: str
    chain: int
    account: bytes
    nonce: int
    to: bytes | None
    data: bytes
    gas: int
    attempts: tuple[Attempt, ...]
    block: int | None = None

    @property
    def place(self) -> bytes:
        """The address of the contract that it calls or creates."""
        return created_address(self.account, self.nonce) if self.to is None else self.to

    def does(self, to: bytes | None, data: bytes, state: Callable[[], State]) -> bool:
        """Whether this does what a call drawn up later asks for, so that it need not be done another time.

        It does while what it was signed for is still so; and where it was done, and `state`, which is proven, is what
        the call would leave.  A deadline makes no difference, but to what waits for a delay: that is executed later by
        this very action.  To cancel, or to go back to a version, is another thing each time.
        """
        if to is None or self.to is None:
            return to == self.to and data == self.data
        if to != self.to:
            return False
        (mine, signed), (asked, asked_signed) = executed(self.data), executed(data)
        # what waits is executed by the same action without signatures, which is another thing
        if bool(signed) != bool(asked_signed) or _purpose(mine) != _purpose(asked):
            return False
        if mine == asked and not is_past(state(), mine):
            return True
        if signed and mine.kind in _DELAYED and state().number("delay"):
            return False
        same_state = (mine.epoch, mine.nonce) == (asked.epoch, asked.nonce)
        if same_state and not is_past(state(), mine):
            return True
        is_repeatable = mine.kind in (Kind.CANCEL, Kind.ROLLBACK)
        return (same_state or not is_repeatable) and is_done(state(), mine, Domain(self.chain, self.to))

    def is_done(self, state: State) -> bool:
        """Whether `state`, which is proven, is what this leaves in the contract at `place`."""
        if self.to is None:
            return is_founded(state, *deployed(self.data))
        (action, signed), domain = executed(self.data), Domain(self.chain, self.to)
        return is_done(state, action, domain) or bool(signed and is_waiting(state, action, domain))

    def is_past(self, state: State) -> bool:
        """Whether `state`, which is proven, is beyond what this was signed for, by whomever it was brought there."""
        return self.to is None or is_past(state, executed(self.data)[0])

    def to_json(self) -> dict[str, Any]:
        """The same as data: the signed bytes say all else."""
        return {
            "format": FORMAT,
            "what": self.what,
            "account": self.account.hex(),
            "sent": [attempt.raw.hex() for attempt in self.attempts],
            "block": str(self.block) if self.block is not None else "",
        }

    @classmethod
    def from_json(cls, document: object, what: str) -> Outgoing:
        """Read what `to_json` gives; DocumentError, about `what`, for anything else."""
        fields = Fields(document, FORMAT, {"what", "account", "sent", "block"}, what)
        account = fields.bytes("account", 20)
        try:
            forms = [
                _decoded(fields.text("what", 200), account, bytes.fromhex(text))
                for text in fields.texts("sent", MAX_ATTEMPTS, _MAX_HEX)
            ]
        except (ValueError, TypeError, IndexError, RecursionError):
            fields.refuse("sent has something else than signed transactions")
        first = replace(forms[0], attempts=()) if forms else None
        if first is None or any(replace(form, attempts=()) != first for form in forms):
            fields.refuse("sent has none, or different transactions")
        block = fields.number("block", 2**63) if fields.text("block") else None
        return replace(first, attempts=tuple(form.attempts[0] for form in forms), block=block)


class Outbox:
    """The outbox in the folder of a home.  Every use stands inside `locked`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outbox.json"
        self._lock = folder / "outbox.lock"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not os.path.lexists(self.path)

    @contextmanager
    def locked(self, patience: float) -> Generator[None]:
        """Alone with the outbox: ChainError when another process still has it after `patience` seconds.

        A process that is killed gives it back.
        """
        make_private_folder(self._lock.parent)
        handle = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            end = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise ChainError(
                            f"another process sends from {self.path.parent} and waits for it to be final; ask later"
                        ) from None
                    time.sleep(0.05)
            yield
        finally:
            os.close(handle)

    def load(self) -> Outgoing | None:
        """What is in it, None when that is nothing; GraphoptError for what is no outbox, or another's."""
        content = read_own_file(self.path, "the outbox", MAX_BYTES, ChainError)
        if content is None:
            return None
        what = f"the outbox {self.path}"
        return Outgoing.from_json(strict_json.decode(content, what), what)

    def save(self, outgoing: Outgoing) -> None:
        """Put `outgoing` in it, and return once that is on the disk."""
        content = strict_json.encode(outgoing.to_json(), "the outbox")
        replace_key_file(self.path, content)

    def clear(self) -> None:
        """Take out what is in it: it failed, or can never be executed."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)


_DELAYED = frozenset({Kind.ADMIT, Kind.CHANGE, Kind.QUORUM, Kind.DELAY})


def _purpose(action: Action) -> Action:
    return replace(action, epoch=0, nonce=0, deadline=0)


def _decoded(what: str, account: bytes, raw: bytes) -> Outgoing:
    """The signed transaction `raw`; ValueError for anything else."""
    told = Transaction.decode(raw)
    if told.to is not None:
        executed(told.data)
    attempt = Attempt(raw, told.fees)
    return Outgoing(what, told.chain, account, told.nonce, told.to, told.data, told.gas, (attempt,))
