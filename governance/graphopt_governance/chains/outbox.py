"""The outbox of a home: the last transaction that was signed for a real chain, and whether it is final.

It is written before it is sent, so that a process which is killed at any moment leaves behind what it takes to go on:
the next one waits for the same transaction, sends the same bytes again, or replaces them under the same nonce.  A
chain executes one transaction a nonce, so nothing is done or paid twice.  A final one stays until the next is sent:
whoever repeats a command, because its process died before it could tell, has the same receipt for an answer.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from eth_hash.auto import keccak

from graphopt import strict_json
from graphopt_governance.chains import rlp_decoding
from graphopt_governance.chains.fees import Fees
from graphopt_governance.documents import Fields, read_document
from graphopt_governance.errors import ChainError
from graphopt_governance.keys.key_files import make_private_folder, replace_key_file, sync_folder
from graphopt_governance.protocol.action import Action
from graphopt_governance.protocol.contract import executed

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

    def does(self, to: bytes | None, data: bytes) -> bool:
        """Whether this does what a call drawn up later asks for: the same thing, from before or after it was done.

        Such a call has another deadline, and, where this was executed already, the epoch or the nonce that came then.
        """
        if to is None or self.to is None:
            return to == self.to and data == self.data
        if to != self.to:
            return False
        (mine, signed), (asked, asked_signed) = executed(self.data), executed(data)
        # what waits is executed by the same action without signatures, which is another thing
        if signed != asked_signed or _purpose(mine) != _purpose(asked):
            return False
        return asked.nonce - mine.nonce in (0, 1) and asked.epoch - mine.epoch in (0, 1)

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
        return not self.path.exists()

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
        """What is in it, None when that is nothing; ChainError when it cannot be read."""
        what = "the outbox"
        return Outgoing.from_json(read_document(self.path, what), f"{what} {self.path}") if not self.is_empty else None

    def save(self, outgoing: Outgoing) -> None:
        """Put `outgoing` in it, and return once that is on the disk."""
        content = strict_json.encode(outgoing.to_json(), "the outbox")
        replace_key_file(self.path, content)

    def clear(self) -> None:
        """Take out what is in it: it failed, or can never be executed."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)


def _purpose(action: Action) -> Action:
    return replace(action, epoch=0, nonce=0, deadline=0)


def _decoded(what: str, account: bytes, raw: bytes) -> Outgoing:
    """The signed transaction `raw`, of EIP-1559's form or the older one; ValueError for anything else."""
    typed = raw[:1] == b"\2"
    fields: Any = rlp_decoding.decode(raw[1:] if typed else raw)
    if not isinstance(fields, list) or len(cast("list[object]", fields)) != (12 if typed else 9):
        raise ValueError("not a transaction")
    if typed:
        chain, nonce, tip, most, gas = (int.from_bytes(field, "big") for field in fields[:5])
        fees = Fees(most, tip)
    else:
        nonce, most, gas, signed_for = (int.from_bytes(fields[index], "big") for index in (0, 1, 2, 6))
        # EIP-155
        chain, fees = (signed_for - 35) // 2, Fees(most, None)
    to, data = (fields[5], fields[7]) if typed else (fields[3], fields[5])
    if to:
        executed(data)
    return Outgoing(what, chain, account, nonce, to or None, data, gas, (Attempt(raw, fees),))
