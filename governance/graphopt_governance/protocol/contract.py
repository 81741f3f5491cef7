"""The federation's contract seen from outside: its code, its calls, its storage and its events, as plain bytes.

Encodings are written out (the contract has one function that changes anything, and every argument but one is static),
so that verifying a bundle needs no Ethereum library beyond keccak, RLP and the state trie.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

from eth_hash.auto import keccak

from graphopt_governance.protocol.action import Action, Kind, Right, word

_MEMBER = 128


@cache
def artifact() -> dict[str, Any]:
    """The compiled contract: `bytecode`, `code_hash`, `layout`, `abi`, `compiler`, `source_sha256`."""
    return json.loads((files("graphopt_governance") / "federation.json").read_text())


class Storage(Protocol):
    """The contract's storage at one block."""

    def slot(self, key: int) -> int:
        """The word at `key`; 0 where nothing was written."""
        ...

    def expect(self, keys: Sequence[int]) -> None:
        """Hear that these words will be asked for: who reads from afar may then ask once for all."""
        ...


class Status(IntEnum):
    """What the federation holds of a digest."""

    NOT_ANCHORED = 0
    APPROVED = 1
    SUSPENDED = 2
    REVOKED = 3


class RecordKind(IntEnum):
    """What a digest stands for."""

    NONE = 0
    MANIFEST = 1
    BATCH = 2


@dataclass(frozen=True, slots=True)
class Record:
    """What the chain says about one digest.  `expires` is in seconds since the epoch, 0 for never."""

    status: Status
    kind: RecordKind
    nonce: int
    version: int
    expires: int
    model: bytes


@dataclass(frozen=True, slots=True)
class Founder:
    """A member to be: account (20 bytes), rights, and the hashes or keys that the registry binds to it (32 bytes)."""

    account: bytes
    rights: Right
    signing: bytes
    sealing: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class Member:
    """A member now: number, account, rights, signing key (SHA-256 of its PEM), sealing key."""

    number: int
    account: bytes
    rights: Right
    signing: bytes
    sealing: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the contract: its block and that block's time (0 where it was not asked for), and what it says."""

    name: str
    block: int
    time: int
    fields: dict[str, Any]


def deployment(founders: Sequence[Founder], quorum: int, delay: int) -> bytes:
    """The init code of a federation of `founders`."""
    members = b"".join(
        bytes(12) + founder.account + word(founder.rights) + founder.signing + founder.sealing for founder in founders
    )
    code = bytes.fromhex(artifact()["bytecode"][2:])
    return code + word(96) + word(quorum) + word(delay) + word(len(founders)) + members


def deployed(code: bytes) -> tuple[tuple[Founder, ...], int, int]:
    """The founders, quorum and delay of such init code; ValueError for what is none."""
    start = len(bytes.fromhex(artifact()["bytecode"][2:]))
    words = [code[at : at + 32] for at in range(start, len(code), 32)]
    founders = tuple(
        Founder(words[at][12:], Right(int.from_bytes(words[at + 1], "big") & 31), words[at + 2], words[at + 3])
        for at in range(4, len(words) - 3, 4)
    )
    quorum, delay = (int.from_bytes(words[at], "big") for at in (1, 2)) if len(words) > 4 else (0, 0)
    if (len(code) - start) % 32 or deployment(founders, quorum, delay) != code:
        raise ValueError("not code that founds a federation")
    return founders, quorum, delay


def execution(action: Action, signatures: Sequence[bytes] = ()) -> bytes:
    """The call that executes `action`; `signatures` in ascending order of their signers."""
    joined = b"".join(signatures)
    padding = bytes(-len(joined) % 32)
    return _EXECUTE + action.encode() + word(11 * 32) + word(len(joined)) + joined + padding


def executed(call: bytes) -> tuple[Action, int]:
    """The action of such a call, and how many bytes of signatures it has; ValueError for what is no such call."""
    if call[:4] != _EXECUTE or len(call) < 4 + 12 * 32:
        raise ValueError("not a call that executes an action")
    words = [call[at : at + 32] for at in range(4, 4 + 12 * 32, 32)]
    kind, amount, expires, epoch, nonce, deadline, _, size = (
        int.from_bytes(words[index], "big") for index in (0, 3, 4, 7, 8, 9, 10, 11)
    )
    action = Action(Kind(kind), words[1], words[2][:20], amount, expires, words[5], words[6], epoch, nonce, deadline)
    return action, size


def revert_reason(output: bytes) -> str:
    """Why a call was turned down, from what it returned."""
    if output[:4] == _ERROR and len(output) >= 68:
        length = int.from_bytes(output[36:68], "big")
        return output[68 : 68 + length].decode("utf-8", "replace")
    return "no reason given"


def decode_record(value: int) -> Record:
    """Unpack what `records` holds."""
    return Record(
        Status(value & 15),
        RecordKind(value >> 4 & 15),
        value >> 8 & 0xFFFF,
        value >> 24 & 0xFFFFFFFF,
        value >> 56 & (2**40 - 1),
        (value >> 96).to_bytes(20, "big"),
    )


class State:
    """The contract's variables, read from its storage."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._layout: dict[str, int] = artifact()["layout"]

    def record(self, digest: bytes) -> Record:
        """What is on record about a manifest's digest or a batch commitment (32 bytes)."""
        return decode_record(self._map("records", digest))

    def versions(self, model: bytes) -> tuple[int, int]:
        """A model's current version and the latest there ever was; (0, 0) for one never anchored."""
        value = self._map("models", model + bytes(12))
        return value & 0xFFFFFFFF, value >> 32

    def holder(self, signing: bytes) -> int:
        """The number of the member who has or had this signing key; 0 for nobody."""
        return self._map("holders", signing)

    def expect(self, *pairs: tuple[bytes, bytes]) -> None:
        """Say that manifests' digests, each with its signer's key, will be judged: fewer questions to who is far away.

        However many there are, they are asked about together, in three steps.
        """
        records, holders = self._layout["records"], self._layout["holders"]
        self._storage.expect(
            [_slot(records, digest) for digest, _ in pairs] + [_slot(holders, key) for _, key in pairs]
        )
        bases = [_slot(self._layout["members"], word(self.holder(signing))) for _, signing in pairs]
        models = [_slot(self._layout["models"], self.record(digest).model + bytes(12)) for digest, _ in pairs]
        self._storage.expect(models + [base + offset for base in bases for offset in (0, 2, 3)])
        accounts = [word(self._storage.slot(base))[12:] for base in bases]
        self._storage.expect([_slot(self._layout["standing"], bytes(12) + account) for account in accounts])

    def member(self, number: int) -> Member | None:
        """The member with this number; None when there is none now."""
        base = _slot(self._layout["members"], word(number))
        account = self._storage.slot(base).to_bytes(32, "big")[12:]
        rights = self.standing(account)[1]
        if rights is None:
            return None
        signing, sealing = (word(self._storage.slot(base + offset)) for offset in (2, 3))
        return Member(number, account, rights, signing, sealing)

    def standing(self, account: bytes) -> tuple[int, Right | None]:
        """The number that was given to an account (0: none), and its rights (None: not a member now)."""
        value = self._map("standing", bytes(12) + account)
        return value >> 8, Right(value & 31) if value & _MEMBER else None

    def members(self) -> tuple[Member, ...]:
        """All members now, by number."""
        found = (self.member(number) for number in range(1, self.number("joined") + 1))
        return tuple(member for member in found if member is not None)

    def waiting(self, identity: bytes) -> int:
        """When an approved action may be executed (seconds since the epoch); 0 when it is not waiting."""
        return self._map("waiting", identity)

    def seen(self, identity: bytes) -> bool:
        """Whether a proposal or a report, by its identity, is on record."""
        return self._map("seen", identity) > 0

    def number(self, variable: str) -> int:
        """A plain variable: epoch, quorum, delay, size, voters, joined."""
        return self._storage.slot(self._layout[variable])

    def _map(self, variable: str, key: bytes) -> int:
        return self._storage.slot(_slot(self._layout[variable], key))


def decode_event(topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, Any]] | None:
    """An event's name and fields; None for one that is not the contract's, or has not exactly the words that it has."""
    known = _events().get(topics[0]) if topics else None
    if known is None:
        return None
    name, inputs = known
    indexed = list(topics[1:])
    words = [data[at : at + 32] for at in range(0, len(data), 32)]
    if any(len(item) != 32 for item in (*indexed, *words)) or len(indexed) + len(words) != len(inputs):
        return None
    if len(indexed) != sum(is_indexed for *_, is_indexed in inputs):
        return None
    fields = {field: _value(kind, indexed.pop(0) if is_indexed else words.pop(0)) for field, kind, is_indexed in inputs}
    return name, fields


@cache
def event_topic(name: str) -> bytes:
    """The first topic of the contract's event `name`."""
    return next(topic for topic, (known, _) in _events().items() if known == name)


@cache
def _events() -> dict[bytes, tuple[str, list[tuple[str, str, bool]]]]:
    events: dict[bytes, tuple[str, list[tuple[str, str, bool]]]] = {}
    for item in artifact()["abi"]:
        if item["type"] == "event":
            inputs = [(field["name"], field["type"], field["indexed"]) for field in item["inputs"]]
            signature = f"{item['name']}({','.join(kind for _, kind, _ in inputs)})"
            events[keccak(signature.encode())] = (item["name"], inputs)
    return events


def _value(kind: str, raw: bytes) -> bytes | int:
    match kind:
        case "bytes32":
            return raw
        case "bytes20":
            return raw[:20]
        case "address":
            return raw[12:]
        case _:
            return int.from_bytes(raw, "big")


def _slot(position: int, key: bytes) -> int:
    # Vyper hashes the variable's slot first, then the key
    return int.from_bytes(keccak(word(position) + key), "big")


_EXECUTE = keccak(b"execute((uint256,bytes32,bytes20,uint256,uint256,bytes32,bytes32,uint256,uint256,uint256),bytes)")[
    :4
]
_ERROR = keccak(b"Error(string)")[:4]
