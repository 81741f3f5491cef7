"""A transaction as it is signed and sent, of EIP-1559's form or the older one, and where what it creates will be.

Seventy lines in the place of a library whose import takes longer than verifying a bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from eth_hash.auto import keccak

from graphopt_governance.chains import rlp_decoding
from graphopt_governance.chains.fees import Fees
from graphopt_governance.chains.rlp_encoding import Item, encode, number_bytes
from graphopt_governance.keys.member_key import MemberKey


@dataclass(frozen=True, slots=True)
class Transaction:
    """What is signed: `to` is None where a contract is created; nothing is ever sent along with it."""

    chain: int
    nonce: int
    to: bytes | None
    data: bytes
    gas: int
    fees: Fees

    def signed(self, key: MemberKey) -> bytes:
        """The bytes that are sent, signed by the account that pays."""
        fields, tip = [number_bytes(self.nonce)], self.fees.tip
        # what it sends along with it is 0
        rest: list[Item] = [number_bytes(self.gas), self.to or b"", b"", self.data]
        if tip is None:
            # EIP-155
            legacy: list[Item] = [*fields, number_bytes(self.fees.most), *rest]
            r, s, parity = _signature(key, keccak(encode([*legacy, number_bytes(self.chain), b"", b""])))
            return encode([*legacy, number_bytes(2 * self.chain + 35 + parity), r, s])
        body: list[Item] = [number_bytes(self.chain), *fields, number_bytes(tip), number_bytes(self.fees.most)]
        body += [*rest, []]
        r, s, parity = _signature(key, keccak(b"\2" + encode(body)))
        return b"\2" + encode([*body, number_bytes(parity), r, s])

    @classmethod
    def decode(cls, raw: bytes) -> Transaction:
        """What the bytes of a signed transaction say; ValueError for anything else."""
        typed = raw[:1] == b"\2"
        fields: Any = rlp_decoding.decode(raw[1:] if typed else raw)
        if not isinstance(fields, list) or len(cast("list[object]", fields)) != (12 if typed else 9):
            raise ValueError("not a transaction")
        if typed:
            chain, nonce, tip, most, gas = (int.from_bytes(field, "big") for field in fields[:5])
            return cls(chain, nonce, fields[5] or None, fields[7], gas, Fees(most, tip))
        nonce, most, gas, signed_for = (int.from_bytes(fields[index], "big") for index in (0, 1, 2, 6))
        return cls((signed_for - 35) // 2, nonce, fields[3] or None, fields[5], gas, Fees(most, None))


def created_address(account: bytes, nonce: int) -> bytes:
    """The address of the contract that transaction `nonce` of `account` creates: no node has a say in it."""
    return keccak(encode([account, number_bytes(nonce)]))[12:]


def _signature(key: MemberKey, digest: bytes) -> tuple[bytes, bytes, int]:
    signature = key.sign(digest)
    r, s = (number_bytes(int.from_bytes(signature[at : at + 32], "big")) for at in (0, 32))
    return r, s, signature[64] - 27
