"""A transaction as it is signed and sent, of EIP-1559's form or the older one, and where what it creates will be.

eth-account signs and reads it.  Only what sends imports this: eth-account takes longer to import than a bundle to
verify.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import rlp
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_hash.auto import keccak
from eth_utils.address import to_checksum_address
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from rlp.exceptions import RLPException

from graphopt_governance.chains.fees import Fees
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
        fields: dict[str, Any] = {"chainId": self.chain, "nonce": self.nonce, "gas": self.gas, "value": 0}
        fields |= {"data": self.data} | self.fees.fields()
        if self.to is not None:
            fields["to"] = to_checksum_address(self.to)
        private = key.private.private_numbers().private_value.to_bytes(32, "big")
        return bytes(Account.sign_transaction(fields, private).raw_transaction)

    @classmethod
    def decode(cls, raw: bytes) -> Transaction:
        """What the bytes of a signed transaction say; ValueError for anything else."""
        try:
            found = _typed(raw) if raw[:1] == b"\2" else _untyped(raw)
        except (RLPException, ValidationError, TypeError, AttributeError) as error:
            raise ValueError("not a transaction") from error
        return found


def created_address(account: bytes, nonce: int) -> bytes:
    """The address of the contract that transaction `nonce` of `account` creates: no node has a say in it."""
    return keccak(rlp.encode([account, nonce]))[12:]


def _typed(raw: bytes) -> Transaction:
    said: dict[str, Any] = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    if said["value"]:
        raise ValueError("a transaction that sends something along")
    fees = Fees(said["maxFeePerGas"], said["maxPriorityFeePerGas"])
    return Transaction(
        said["chainId"], said["nonce"], bytes(said["to"]) or None, bytes(said["data"]), said["gas"], fees
    )


def _untyped(raw: bytes) -> Transaction:
    # eth-account reads these for itself alone
    fields: Any = rlp.decode(raw)
    if not isinstance(fields, list) or len(fields) != 9:
        raise ValueError("not a transaction")
    nonce, most, gas, value, signed_for = (int.from_bytes(fields[index], "big") for index in (0, 1, 2, 4, 6))
    if value:
        raise ValueError("a transaction that sends something along")
    # EIP-155
    return Transaction((signed_for - 35) // 2, nonce, fields[3] or None, fields[5], gas, Fees(most, None))
