"""A federation on any Ethereum chain, behind a node's RPC: the same `Chain` as the embedded one, through web3.

What is believed: the node's word for the state of its finalized block.  What is not: which chain it serves (its id is
checked), which contract answers (its address is kept in `Home.federation`, its code is hashed at each read), and that
what was sent was done (the receipt is read again once its block is final).  Only this module imports web3, and only an
RPC chain loads this module: importing web3 takes longer than a whole verification on the embedded chain.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from eth_hash.auto import keccak
from web3 import HTTPProvider, Web3
from web3.exceptions import BlockNotFound, ContractLogicError, TransactionNotFound, Web3Exception, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers import BaseProvider

from graphopt_governance.action import Domain
from graphopt_governance.chain import Receipt, Snapshot
from graphopt_governance.contract import (
    Event,
    Founder,
    State,
    artifact,
    decode_event,
    deployment,
    event_topic,
    revert_reason,
)
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.home import Home
from graphopt_governance.key_files import create_key_file, read_key_file
from graphopt_governance.member_key import MemberKey

Payer = Callable[[], MemberKey]
"""Asked only when something is sent: the account whose balance pays for it.  It has no other part in the federation."""

_TIMEOUT_SECONDS = 20
_PATIENCE_SECONDS = 1800.0
_FEWEST_BLOCKS = 1000


class RpcChain:
    """A federation behind a node; `RpcChain.open` and `RpcChain.found` make one.

    `patience`: how many seconds `submit` waits for what it sent to be final (on Ethereum that takes some 15 minutes).
    """

    def __init__(
        self,
        provider: BaseProvider,
        domain: Domain,
        first_block: int,
        payer: Payer,
        patience: float = _PATIENCE_SECONDS,
    ) -> None:
        self._node = _Node(provider)
        self._node.check_chain(domain.chain_id)
        self._domain = domain
        self._first_block = first_block
        self._payer = payer
        self._patience = patience

    @classmethod
    def open(
        cls, provider: BaseProvider, home: Home, payer: Payer, patience: float = _PATIENCE_SECONDS
    ) -> RpcChain | None:
        """The federation that `home.federation` names, None where it names none; ChainError when it is not there."""
        content = read_key_file(home.federation)
        if content is None:
            return None
        try:
            kept = json.loads(content)
            chain_id, contract, block = int(kept["chain"]), bytes.fromhex(kept["contract"][2:]), int(kept["block"])
        except (ValueError, KeyError, TypeError) as error:
            raise ChainError(f"{home.federation} does not name a federation: chain, contract, block") from error
        if len(contract) != 20:
            raise ChainError(f"{home.federation} does not name a federation: a contract's address has 20 bytes")
        return cls(provider, Domain(chain_id, contract), block, payer, patience)

    @classmethod
    def found(
        cls,
        provider: BaseProvider,
        home: Home,
        founders: Sequence[Founder],
        payer: Payer,
        *,
        quorum: int = 1,
        delay: int = 0,
        patience: float = _PATIENCE_SECONDS,
    ) -> RpcChain:
        """Deploy a federation of `founders`, wait until it is final, and keep where it is in `home.federation`."""
        node = _Node(provider)
        receipt = node.send(
            payer(), node.chain_id, None, deployment(founders, quorum, delay), "the new federation", patience
        )
        contract = bytes.fromhex(str(receipt["contractAddress"])[2:])
        kept = {"chain": node.chain_id, "contract": "0x" + contract.hex(), "block": int(receipt["blockNumber"])}
        create_key_file(home.federation, json.dumps(kept).encode())
        chain = cls.open(provider, home, payer, patience)
        if chain is None:
            raise ChainError(f"{home.federation} came and went while it was made")
        return chain

    @property
    def domain(self) -> Domain:
        """Where this federation's signatures hold."""
        return self._domain

    @property
    def basis(self) -> str:
        """What a reading rests on, in words."""
        tag = self._node.newest()[0]
        if tag == "finalized":
            return f"the word of the node at {self._node.name} for its finalized block"
        return (
            f"the word of the node at {self._node.name} for its latest block: it knows no finalized one,"
            " so a reorganisation can undo this"
        )

    def snapshot(self) -> Snapshot:
        """The contract as of the finalized block; ChainError when the code at its address is not the federation's."""
        _, block, seconds = self._node.newest()
        contract = Web3.to_checksum_address(self._domain.contract)
        where = f"0x{self._domain.contract.hex()} on chain {self._domain.chain_id}"
        with self._node.asked() as eth:
            code = bytes(eth.get_code(contract, block))
        if not code:
            raise ChainError(f"there is no contract at {where}, as of block {block}")
        if keccak(code).hex() != artifact()["code_hash"]:
            raise ChainError(f"the contract at {where} is not the federation's: its code differs")
        return Snapshot(block, seconds, State(_Storage(self._node, contract, block)))

    def events(self, name: str | None = None, subject: bytes | None = None) -> list[Event]:
        """The contract's final events, oldest first; of one name and about one digest where given."""
        _, last, _ = self._node.newest()
        topics = [None if name is None else "0x" + event_topic(name).hex()]
        if subject is not None:
            topics.append("0x" + subject.hex())
        wanted = {"address": Web3.to_checksum_address(self._domain.contract), "topics": topics}
        found: list[Event] = []
        times: dict[int, int] = {}
        for log in self._node.logs(wanted, self._first_block, last):
            decoded = decode_event([bytes(topic) for topic in log["topics"]], bytes(log["data"]))
            if decoded is not None:
                number = int(log["blockNumber"])
                if number not in times:
                    with self._node.asked() as eth:
                        times[number] = int(eth.get_block(number)["timestamp"])
                found.append(Event(decoded[0], number, times[number], decoded[1]))
        return found

    def submit(self, call: bytes, what: str) -> Receipt:
        """Simulate a call to the contract, send it, and return once its block is final.

        ActionError, about `what`, when the contract turns it down; ChainError when the node does, or it is not final
        in time: then it may still be done later.
        """
        self.snapshot()
        receipt = self._node.send(
            self._payer(), self._domain.chain_id, self._domain.contract, call, what, self._patience
        )
        number = int(receipt["blockNumber"])
        with self._node.asked() as eth:
            seconds = int(eth.get_block(number)["timestamp"])
        return Receipt(number, seconds, int(receipt["gasUsed"]))


def provider_at(url: str) -> BaseProvider:
    """The node at `url`, which begins with http:// or https://; nothing is asked of it yet."""
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise ChainError("a chain is named by its node's URL, http://HOST:PORT or https://HOST/PATH")
    return HTTPProvider(url, request_kwargs={"timeout": _TIMEOUT_SECONDS})


class _Node:
    """What is asked of a node, with one sentence for whatever goes wrong."""

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

    def send(
        self, payer: MemberKey, chain_id: int, to: bytes | None, data: bytes, what: str, patience: float
    ) -> Mapping[str, Any]:
        """Simulate, sign, send, and wait for the receipt of a transaction that succeeded in a final block."""
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
                sent = eth.send_raw_transaction(raw)
        except ContractLogicError as error:
            raise ActionError(what, _reason(error)) from error
        except ChainError as error:
            raise ChainError(f"{what} was not sent; 0x{payer.account.hex()} pays for gas: {error}") from error
        receipt = self._final(bytes(sent), patience)
        if receipt["status"] != 1:
            raise ActionError(what, f"it passed when simulated and failed in block {receipt['blockNumber']}")
        return receipt

    def _fees(self, eth: Any) -> dict[str, int]:
        base = eth.get_block("latest").get("baseFeePerGas")
        if base is None:
            return {"gasPrice": int(eth.gas_price)}
        tip = int(eth.max_priority_fee)
        return {"maxFeePerGas": 2 * int(base) + tip, "maxPriorityFeePerGas": tip}

    def _final(self, sent: bytes, patience: float) -> Mapping[str, Any]:
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
            if receipt is not None and int(receipt["blockNumber"]) <= newest:
                return receipt
            if time.monotonic() > end:
                where = "in no block" if receipt is None else f"in block {receipt['blockNumber']}, which is not final"
                raise ChainError(
                    f"transaction 0x{sent.hex()} was sent and is {where} after {patience:.0f} s; ask later"
                )
            time.sleep(pause)
            pause = min(2 * pause, 5.0)


class _Storage:
    """The contract's storage at one block, by the node's word."""

    def __init__(self, node: _Node, contract: str, block: int) -> None:
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
