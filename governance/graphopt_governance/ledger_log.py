"""A ledger's log: every call that made it, from which anybody can rebuild it, block for block, to the same head.

Members co-sign the head's hash.  Whoever owns the ledger then cannot show different histories to different people
without contradicting a signature.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from eth_hash.auto import keccak

from graphopt import strict_json
from graphopt_governance.action import word
from graphopt_governance.contract import artifact
from graphopt_governance.errors import ChainError
from graphopt_governance.ledger import Call, Ledger
from graphopt_governance.member_key import MemberKey, recover

FORMAT = "graphopt/ledger-log/v1"
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class LedgerLog:
    """The calls of a ledger, its head's hash, and what members signed of it."""

    chain_id: int
    genesis_time: int
    calls: tuple[Call, ...]
    head: bytes
    signatures: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, ledger: Ledger) -> LedgerLog:
        """The log of a ledger, with no signatures yet."""
        genesis_time, calls, head = ledger.history()
        return cls(ledger.domain.chain_id, genesis_time, tuple(calls), head)

    def identity(self) -> bytes:
        """What members sign: 32 bytes that cover the chain's id, its length and its head."""
        # no EIP-712 digest begins like this, so a signature here is never one for an action
        return keccak(b"\x19graphopt ledger head\0" + word(self.chain_id) + word(len(self.calls)) + self.head)

    def signed(self, key: MemberKey) -> LedgerLog:
        """The log with one signature more."""
        return replace(self, signatures=(*self.signatures, key.sign(self.identity())))

    def signers(self) -> set[bytes]:
        """The accounts that signed this head; whether they are members, the rebuilt ledger tells."""
        return {recover(self.identity(), signature) for signature in self.signatures}

    def rebuild(self, path: Path) -> Ledger:
        """Execute every call again into a new ledger at `path`; ChainError when it does not come to the head."""
        # a stranger's log: what it would run is known before any of it runs
        if not self.calls or not self.calls[0].data.startswith(bytes.fromhex(artifact()["bytecode"][2:])):
            raise ChainError("the log does not begin with the federation's contract")
        return Ledger.rebuild(path, self.chain_id, self.genesis_time, self.calls, self.head)

    def save(self, path: Path) -> None:
        """Write the log as canonical JSON."""
        document = {
            "format": FORMAT,
            "chain": str(self.chain_id),
            "genesis_time": self.genesis_time,
            "calls": [{"time": call.time, "data": call.data.hex()} for call in self.calls],
            "head": self.head.hex(),
            "signatures": [signature.hex() for signature in self.signatures],
        }
        path.write_bytes(strict_json.encode(document, "the ledger's log"))

    @classmethod
    def load(cls, path: Path) -> LedgerLog:
        """Read what `save` wrote; ChainError or BundleError for anything else."""
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise ChainError(f"the log {path} is too large")
            data = path.read_bytes()
        except OSError as error:
            raise ChainError(f"the log {path} cannot be read: {error.strerror}") from error
        document = strict_json.decode(data, f"the log {path}")
        try:
            return cls._parse(cast("dict[str, Any]", document))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChainError(f"the log {path} is not of the form {json.dumps(FORMAT)}") from error

    @classmethod
    def _parse(cls, document: dict[str, Any]) -> LedgerLog:
        if document["format"] != FORMAT:
            raise ValueError("another format")
        calls = tuple(Call(_seconds(call["time"]), bytes.fromhex(call["data"])) for call in document["calls"])
        signatures = tuple(bytes.fromhex(signature) for signature in document["signatures"])
        head, genesis_time = bytes.fromhex(document["head"]), _seconds(document["genesis_time"])
        return cls(int(document["chain"]), genesis_time, calls, head, signatures)


def _seconds(value: object) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**40:
        raise ValueError("not a time")
    return value
