"""A ledger's log: every call that made it, from which anybody can rebuild it, block for block, to the same head.

Members co-sign the head's hash.  Whoever owns the ledger then cannot show different histories to different people
without contradicting a signature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from eth_hash.auto import keccak

from graphopt import strict_json
from graphopt_governance.chains.ledger import Call, Ledger
from graphopt_governance.documents import Fields
from graphopt_governance.errors import ChainError
from graphopt_governance.keys.member_key import MemberKey, recover
from graphopt_governance.protocol.action import word
from graphopt_governance.protocol.contract import artifact

FORMAT = "graphopt/ledger-log/v1"
_MAX_BYTES = 1 << 30
MAX_SIGNATURES = 64


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
        """Read what `save` wrote; GraphoptError for anything else."""
        try:
            if path.stat().st_size > _MAX_BYTES:
                raise ChainError(f"the log {path} is too large")
            data = path.read_bytes()
        except OSError as error:
            raise ChainError(f"the log {path} cannot be read: {error.strerror}") from error
        return cls._parse(strict_json.decode(data, f"the log {path}"), f"the log {path}")

    @classmethod
    def _parse(cls, document: object, what: str) -> LedgerLog:
        names = {"chain", "genesis_time", "calls", "head", "signatures"}
        fields = Fields(document, FORMAT, names, what)
        calls = tuple(_call(fields, item) for item in fields.items("calls"))
        signatures = fields.each_bytes("signatures", 65, MAX_SIGNATURES)
        began = fields.has("genesis_time", _is_time, "a time")
        return cls(fields.number("chain", 2**63), began, calls, fields.bytes("head", 32), signatures)


def _call(fields: Fields, item: object) -> Call:
    value = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    seconds, data = value.get("time"), value.get("data")
    if value.keys() != {"time", "data"} or not _is_time(seconds) or not isinstance(data, str):
        fields.refuse("one of its calls is not a time and data")
    try:
        return Call(cast(int, seconds), bytes.fromhex(data))
    except ValueError:
        fields.refuse("the data of one of its calls is not hexadecimal")


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40
