"""The outbox of a home: the transaction that was signed for a real chain and is not known to be final yet.

It is written before it is sent, so that a process which is killed at any moment leaves behind what it takes to go on:
the next one waits for the same transaction, sends the same bytes again, or replaces them under the same nonce.  A
chain executes one transaction a nonce, so nothing is done or paid twice.
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
from graphopt_governance.action import Action
from graphopt_governance.contract import executed
from graphopt_governance.documents import Fields
from graphopt_governance.errors import ChainError
from graphopt_governance.fees import Fees
from graphopt_governance.key_files import make_private_folder, replace_key_file, sync_folder

FORMAT = "graphopt/outbox/v1"
_MAX_BYTES = 4 << 20


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

    `to` is None for one that creates a contract.
    """

    what: str
    chain: int
    account: bytes
    nonce: int
    to: bytes | None
    data: bytes
    gas: int
    attempts: tuple[Attempt, ...]

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
        """The same as data."""
        return {
            "format": FORMAT,
            "what": self.what,
            "chain": str(self.chain),
            "account": self.account.hex(),
            "nonce": str(self.nonce),
            "to": self.to.hex() if self.to is not None else None,
            "data": self.data.hex(),
            "gas": str(self.gas),
            "attempts": [
                {
                    "raw": attempt.raw.hex(),
                    "most": str(attempt.fees.most),
                    "tip": str(attempt.fees.tip) if attempt.fees.tip is not None else None,
                }
                for attempt in self.attempts
            ],
        }

    @classmethod
    def from_json(cls, document: object, what: str) -> Outgoing:
        """Read what `to_json` gives; DocumentError, about `what`, for anything else."""
        names = {"what", "chain", "account", "nonce", "to", "data", "gas", "attempts"}
        fields = Fields(document, FORMAT, names, what)
        makes = fields.has("to", lambda value: value is None or _is_hex(value), "an address") is None
        data = bytes.fromhex(fields.has("data", _is_hex, "bytes in hexadecimal"))
        listed = fields.has("attempts", _are_attempts, "a list of signed transactions")
        attempts = [
            Attempt(
                bytes.fromhex(item["raw"]), Fees(int(item["most"]), None if item["tip"] is None else int(item["tip"]))
            )
            for item in listed
        ]
        if not makes:
            try:
                executed(data)
            except ValueError as error:
                fields.refuse(str(error))
        return cls(
            fields.text("what", 200),
            fields.number("chain"),
            fields.bytes("account", 20),
            fields.number("nonce", 2**64),
            None if makes else fields.bytes("to", 20),
            data,
            fields.number("gas", 2**64),
            tuple(attempts),
        )


class Outbox:
    """The outbox in the folder of a home.  Every use stands inside `locked`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "outbox.json"
        self._lock = folder / "outbox.lock"

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
        try:
            with self.path.open("rb") as file:
                content = file.read(_MAX_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ChainError(f"the outbox {self.path} cannot be read: {error.strerror}") from error
        what = f"the outbox {self.path}"
        return Outgoing.from_json(strict_json.decode(content, what), what)

    def save(self, outgoing: Outgoing) -> None:
        """Put `outgoing` in it, and return once that is on the disk."""
        content = strict_json.encode(outgoing.to_json(), "the outbox")
        replace_key_file(self.path, content)

    def clear(self) -> None:
        """Take out what is in it: it is final, or can never be executed."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)


def _purpose(action: Action) -> Action:
    return replace(action, epoch=0, nonce=0, deadline=0)


def _is_hex(value: object) -> bool:
    return isinstance(value, str) and not len(value) % 2 and not set(value) - set("0123456789abcdef")


def _is_number(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 40


def _are_attempts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_attempt(item) for item in cast("list[object]", value))


def _is_attempt(value: object) -> bool:
    if not isinstance(value, dict) or cast("dict[str, Any]", value).keys() != {"raw", "most", "tip"}:
        return False
    fields = cast("dict[str, Any]", value)
    return (
        _is_hex(fields["raw"]) and _is_number(fields["most"]) and (fields["tip"] is None or _is_number(fields["tip"]))
    )
