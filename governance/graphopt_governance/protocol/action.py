"""An action of a federation: what members sign (EIP-712) and the contract executes.

The kinds and rights are those of `contracts/Federation.vy`, which says what each field means to each kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from eth_hash.auto import keccak

ACTION_FIELDS = (
    "uint256 kind,bytes32 subject,bytes20 name,uint256 amount,uint256 expires,bytes32 evidence,"
    "bytes32 sealing,uint256 epoch,uint256 nonce,uint256 deadline"
)
DOMAIN_FIELDS = "string name,string version,uint256 chainId,address verifyingContract"
DOMAIN_NAME = "graphopt federation"
DOMAIN_VERSION = "1"

ZERO = bytes(32)


class Kind(IntEnum):
    """What an action does."""

    PROPOSE = 1
    ANCHOR = 2
    BATCH = 3
    ROLLBACK = 4
    REVOKE = 5
    SUSPEND = 6
    RESTORE = 7
    REPORT = 8
    ADMIT = 9
    CHANGE = 10
    REMOVE = 11
    QUORUM = 12
    DELAY = 13
    CANCEL = 14


class Right(IntFlag):
    """What a member may do."""

    PROPOSE = 1
    APPROVE = 2
    REVOKE = 4
    REPORT = 8
    DECRYPT = 16


ALL_RIGHTS = Right.PROPOSE | Right.APPROVE | Right.REVOKE | Right.REPORT | Right.DECRYPT


def rights_named(names: Iterable[str]) -> Right:
    """The rights of these names, in lower case; KeyError for a name that is none's."""
    found = Right(0)
    for name in names:
        found |= Right[name.upper()]
    return found


def names_of(rights: Right) -> list[str]:
    """The names of rights, in lower case."""
    return [right.name.lower() for right in rights if right.name]


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done.  `subject`, `evidence`, `sealing`: 32 bytes; `name`: 20 bytes, a model or an account."""

    kind: Kind
    subject: bytes = ZERO
    name: bytes = bytes(20)
    amount: int = 0
    expires: int = 0
    evidence: bytes = ZERO
    sealing: bytes = ZERO
    epoch: int = 0
    nonce: int = 0
    deadline: int = 0

    def __post_init__(self) -> None:
        lengths = (len(self.subject), len(self.name), len(self.evidence), len(self.sealing))
        if lengths != (32, 20, 32, 32):
            raise ValueError(f"an action's fields have 32, 20, 32 and 32 bytes, not {lengths}")

    def encode(self) -> bytes:
        """The ABI encoding: ten words."""
        return b"".join(
            (
                word(self.kind),
                self.subject,
                self.name + bytes(12),
                word(self.amount),
                word(self.expires),
                self.evidence,
                self.sealing,
                word(self.epoch),
                word(self.nonce),
                word(self.deadline),
            )
        )

    def identity(self, domain: Domain) -> bytes:
        """The EIP-712 digest (32 bytes) that members sign, for one chain and one contract."""
        return keccak(b"\x19\x01" + domain.separator() + keccak(_ACTION_TYPE + self.encode()))


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature holds: one chain, one contract."""

    chain_id: int
    contract: bytes

    def separator(self) -> bytes:
        """The EIP-712 domain separator (32 bytes)."""
        name, version = keccak(DOMAIN_NAME.encode()), keccak(DOMAIN_VERSION.encode())
        return keccak(_DOMAIN_TYPE + name + version + word(self.chain_id) + bytes(12) + self.contract)


def word(value: int) -> bytes:
    """A number as the 32 bytes of a uint256; OverflowError outside its range."""
    return int(value).to_bytes(32, "big")


def model_id(name: str) -> bytes:
    """The 20 bytes that stand for a model's name on the chain."""
    return hashlib.sha256(b"graphopt model\0" + name.encode()).digest()[:20]


_ACTION_TYPE = keccak(f"Action({ACTION_FIELDS})".encode())
_DOMAIN_TYPE = keccak(f"EIP712Domain({DOMAIN_FIELDS})".encode())
