"""What is asked of an Ethereum node through web3, with one sentence for whatever goes wrong."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from web3 import HTTPProvider, Web3
from web3.exceptions import BlockNotFound, ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers import BaseProvider

from graphopt_governance.contract import revert_reason
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.member_key import MemberKey

_TIMEOUT_SECONDS = 20
_FEWEST_BLOCKS = 1000


def provider_at(url: str) -> BaseProvider:
    """The node at `url`, which begins with http:// or https://; nothing is asked of it yet."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ChainError("a chain is named by its node's URL, http://HOST:PORT or https://HOST/PATH")
    return HTTPProvider(url, request_kwargs={"timeout": _TIMEOUT_SECONDS})


class Node:
    """The node that `provider` reaches; `name` is its host and port, without what may be a secret."""

    def __init__(self, provider: BaseProvider) -> None:
        web3 = Web3(provider)
        # chains with named block makers keep more in a header than Ethereum does
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        # web3's types are of literals and aliases that carry nothing here
        self._eth: Any = web3.eth
        # no path: that is where a key for a hosted node would be
        url = urlsplit(str(getattr(provider, "endpoint_uri", "")))
        port = f":{url.port}" if url.port else ""
        self.name = f"{url.hostname}{port}" if url.hostname else "hand"

    @contextmanager
    def asked(self) -> Generator[Any]:
        """web3's `eth` for the block; whatever it raises becomes a ChainError, and a revert stays what it is."""
        try:
            yield self._eth
        except ContractLogicError:
            raise
        except Web3RPCError as error:
            raise ChainError(f"the node at {self.name} refused: {_message(error)}") from error
        except (OSError, TimeoutError) as error:
            # requests' exceptions are OSErrors
            status = getattr(getattr(error, "response", None), "status_code", None)
            why = "" if status is None else f" (HTTP status {status})"
            raise ChainError(f"the node at {self.name} does not answer{why}; nothing is approved unasked") from error
        except (Web3Exception, ValueError, KeyError, TypeError) as error:
            raise ChainError(f"what answers at {self.name} is no Ethereum node, or answers wrongly") from error

    @property
    def chain_id(self) -> int:
        """Which chain the node says it serves."""
        with self.asked() as eth:
            return int(eth.chain_id)

    def check_chain(self, wanted: int) -> None:
        """ChainError when the node serves another chain."""
        if (served := self.chain_id) != wanted:
            raise ChainError(f"the node at {self.name} serves chain {served}; the federation is on chain {wanted}")

    def newest(self) -> tuple[str, int, int]:
        """The newest block that counts: by which tag, its number, its time."""
        with self.asked() as eth:
            try:
                tag, block = "finalized", eth.get_block("finalized")
            except Web3RPCError as error:
                if not _says_no_such_block(error):
                    raise
                # a chain without finality, or a node that has not seen any yet
                tag, block = "latest", eth.get_block("latest")
            return tag, int(block["number"]), int(block["timestamp"])

    def logs(self, wanted: Mapping[str, Any], first: int, last: int) -> list[Any]:
        """The logs of blocks `first` to `last`, asked for in halves where the node finds that too many at once."""
        if first > last:
            return []
        try:
            with self.asked() as eth:
                return list(eth.get_logs({**wanted, "fromBlock": first, "toBlock": last}))
        except ChainError as error:
            if not isinstance(error.__cause__, Web3RPCError) or last - first < _FEWEST_BLOCKS:
                raise
        middle = (first + last) // 2
        return self.logs(wanted, first, middle) + self.logs(wanted, middle + 1, last)

    def send(self, payer: MemberKey, chain_id: int, to: bytes | None, data: bytes, what: str) -> bytes:
        """Simulate, sign and send a transaction; its hash.  ActionError, about `what`, when the contract reverts."""
        account = Web3.to_checksum_address(payer.account)
        transaction: dict[str, Any] = {"from": account, "data": "0x" + data.hex(), "value": 0}
        if to is not None:
            transaction["to"] = Web3.to_checksum_address(to)
        try:
            with self.asked() as eth:
                eth.call(transaction, "latest")
                gas = int(eth.estimate_gas(transaction)) * 5 // 4
                transaction |= self._fees(eth)
                transaction |= {"gas": gas, "chainId": chain_id, "nonce": eth.get_transaction_count(account, "pending")}
                private = payer.private.private_numbers().private_value.to_bytes(32, "big")
                raw = eth.account.sign_transaction(transaction, private).raw_transaction
                return bytes(eth.send_raw_transaction(raw))
        except ContractLogicError as error:
            raise ActionError(what, _reason(error)) from error
        except ChainError as error:
            raise ChainError(f"{what} was not sent; 0x{payer.account.hex()} pays for gas: {error}") from error

    def _fees(self, eth: Any) -> dict[str, int]:
        base = eth.get_block("latest").get("baseFeePerGas")
        if base is None:
            return {"gasPrice": int(eth.gas_price)}
        tip = int(eth.max_priority_fee)
        return {"maxFeePerGas": 2 * int(base) + tip, "maxPriorityFeePerGas": tip}

    def receipt(self, sent: bytes, what: str, patience: float, *, final: bool = True) -> Mapping[str, Any]:
        """The receipt of a transaction that succeeded in a block, a final one unless `final` is False.

        ActionError, about `what`, when it failed; ChainError when that takes more than `patience` seconds.
        """
        end = time.monotonic() + patience
        pause = 0.05
        while True:
            # the receipt is read after the block that counts: what a reorganisation undid has none, or a later one
            newest = self.newest()[1]
            with self.asked() as eth:
                try:
                    receipt = eth.get_transaction_receipt(sent)
                except TransactionNotFound:
                    receipt = None
            if receipt is not None and (not final or int(receipt["blockNumber"]) <= newest):
                break
            if time.monotonic() > end:
                where = "in no block" if receipt is None else f"in block {receipt['blockNumber']}, which is not final"
                raise ChainError(
                    f"transaction 0x{sent.hex()} was sent and is {where} after {patience:.0f} s; ask later"
                )
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
        if receipt["status"] != 1:
            raise ActionError(what, f"it passed when simulated and failed in block {receipt['blockNumber']}")
        return receipt


class NodeStorage:
    """The contract's storage at one block, by the node's word."""

    def __init__(self, node: Node, contract: str, block: int) -> None:
        self._node = node
        self._contract = contract
        self._block = block

    def slot(self, key: int) -> int:
        """The word at `key`; 0 where nothing was written."""
        with self._node.asked() as eth:
            return int.from_bytes(bytes(eth.get_storage_at(self._contract, key, self._block)), "big")


def _reason(error: ContractLogicError) -> str:
    data = error.data
    if isinstance(data, str) and data.startswith("0x08c379a0"):
        return revert_reason(bytes.fromhex(data[2:]))
    # a node that gives no data says it in its message, before which web3 puts those words once more
    return str(error.message or "").rpartition("execution reverted: ")[2] or "no reason given"


def _says_no_such_block(error: Web3RPCError) -> bool:
    # invalid parameters, or the Engine API's unknown block; a busy node must not pass for one without finality
    detail: Any = (error.rpc_response or {}).get("error")
    code = detail.get("code") if isinstance(detail, dict) else None
    text = _message(error).lower()
    return (
        isinstance(error, BlockNotFound) or code in (-32602, -39001) or "finalized" in text or "unknown block" in text
    )


def _message(error: Web3RPCError) -> str:
    response: Any = error.rpc_response or {}
    detail = response.get("error")
    text = detail.get("message") if isinstance(detail, dict) else None
    return str(text or error)
