"""The account that founds a ledger, and with it the address of the ledger's contract.

A signature holds for one chain's id and one contract's address.  On a ledger the id is whatever its maker says, so the
address has to tell one founding from another: it is that of an account of its own, whose key is drawn from all that
there is to a founding (the chain's id, the time it began, the members and rules in the contract's init code).  Another
founding has another address, so a twin with other members takes and gives no signature.  The key is no secret, and need
not be: with other members it makes another contract, at an address that is not that of its founding.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import ec
from eth_hash.auto import keccak

from graphopt_governance.keys.member_key import MemberKey
from graphopt_governance.protocol.action import word

CHAIN_IDS = range(2**48, 2**49)
"""The ids of ledgers: 2**48 of them, so that two do not meet, and every tool that reads ids as floats still can."""


def founding_key(chain_id: int, began: int, code: bytes) -> bytes:
    """The private key (32 bytes) of the account that founds the ledger which begins at `began` with this init code."""
    head = b"graphopt: founder of an embedded chain\0"
    return hashlib.sha256(head + word(chain_id) + word(began) + keccak(code)).digest()


def founding_account(key: bytes) -> bytes:
    """The account (20 bytes) of such a key."""
    return MemberKey(ec.derive_private_key(int.from_bytes(key, "big"), ec.SECP256K1())).account


def contract_address(key: bytes) -> bytes:
    """The address (20 bytes) of the contract that the account of such a key makes first."""
    # the RLP of the list of the account and its nonce, 0 (Yellow Paper, 7)
    return keccak(b"\xd6\x94" + founding_account(key) + b"\x80")[12:]
