"""Sending to an Ethereum chain: simulate, sign, send, and wait until what was sent is final."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from web3 import Web3
from web3.exceptions import ContractLogicError, TransactionNotFound

from graphopt_governance.contract import revert_reason
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.member_key import MemberKey
from graphopt_governance.rpc_node import Node

Payer = Callable[[], MemberKey]
"""Asked only when something is sent: the account whose balance pays for it.  It has no other part in the federation."""

PATIENCE_SECONDS = 1800.0
"""How long is waited for what was sent to be final; on Ethereum that takes some 15 minutes."""


class Sender:
    """Sends through `node` what `payer` pays for, and waits `patience` seconds for it to be final."""

    def __init__(self, node: Node, payer: Payer, patience: float = PATIENCE_SECONDS) -> None:
        self._node = node
        self._payer = payer
        self._patience = patience

    def send(self, chain_id: int, to: bytes | None, data: bytes, what: str) -> bytes:
        """Simulate, sign and send a transaction; its hash.  ActionError, about `what`, when the contract reverts."""
        payer = self._payer()
        account = Web3.to_checksum_address(payer.account)
        transaction: dict[str, Any] = {"from": account, "data": "0x" + data.hex(), "value": 0}
        if to is not None:
            transaction["to"] = Web3.to_checksum_address(to)
        try:
            with self._node.asked() as eth:
                eth.call(transaction, "latest")
                gas = int(eth.estimate_gas(transaction)) * 5 // 4
                transaction |= _fees(eth)
                transaction |= {"gas": gas, "chainId": chain_id, "nonce": eth.get_transaction_count(account, "pending")}
                private = payer.private.private_numbers().private_value.to_bytes(32, "big")
                raw = eth.account.sign_transaction(transaction, private).raw_transaction
                return bytes(eth.send_raw_transaction(raw))
        except ContractLogicError as error:
            raise ActionError(what, _reason(error)) from error
        except ChainError as error:
            raise ChainError(f"{what} was not sent; 0x{payer.account.hex()} pays for gas: {error}") from error

    def receipt(self, sent: bytes, what: str, *, final: bool = True) -> Mapping[str, Any]:
        """The receipt of a transaction that succeeded in a block, a final one unless `final` is False.

        ActionError, about `what`, when it failed; ChainError when that takes too long.
        """
        end = time.monotonic() + self._patience
        pause = 0.05
        while True:
            # the receipt is read after the block that counts: what a reorganisation undid has none, or a later one
            newest = self._node.newest()[1]
            with self._node.asked() as eth:
                try:
                    receipt = eth.get_transaction_receipt(sent)
                except TransactionNotFound:
                    receipt = None
            if receipt is not None and (not final or int(receipt["blockNumber"]) <= newest):
                break
            if time.monotonic() > end:
                where = "in no block" if receipt is None else f"in block {receipt['blockNumber']}, which is not final"
                raise ChainError(
                    f"transaction 0x{sent.hex()} was sent and is {where} after {self._patience:.0f} s; ask later"
                )
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
        if receipt["status"] != 1:
            raise ActionError(what, f"it passed when simulated and failed in block {receipt['blockNumber']}")
        return receipt


def _fees(eth: Any) -> dict[str, int]:
    base = eth.get_block("latest").get("baseFeePerGas")
    if base is None:
        return {"gasPrice": int(eth.gas_price)}
    tip = int(eth.max_priority_fee)
    return {"maxFeePerGas": 2 * int(base) + tip, "maxPriorityFeePerGas": tip}


def _reason(error: ContractLogicError) -> str:
    data = error.data
    if isinstance(data, str) and data.startswith("0x08c379a0"):
        return revert_reason(bytes.fromhex(data[2:]))
    # a node that gives no data says it in its message, before which web3 puts those words once more
    return str(error.message or "").rpartition("execution reverted: ")[2] or "no reason given"
