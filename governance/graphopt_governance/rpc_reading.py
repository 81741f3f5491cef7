"""Reading a federation's contract through an Ethereum node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_hash.auto import keccak
from web3 import Web3
from web3.exceptions import Web3RPCError

from graphopt_governance.action import Domain
from graphopt_governance.chain import Snapshot
from graphopt_governance.contract import Event, State, artifact, decode_event, event_topic
from graphopt_governance.errors import ChainError
from graphopt_governance.rpc_node import Node

_FEWEST_BLOCKS = 1000


class Reader:
    """Reads the contract at `domain` through `node`, its events from `first_block` on."""

    def __init__(self, node: Node, domain: Domain, first_block: int) -> None:
        self._node = node
        self._domain = domain
        self._first_block = first_block

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
        return Snapshot(block, seconds, State(NodeStorage(self._node, contract, block)))

    def events(self, name: str | None = None, subject: bytes | None = None) -> list[Event]:
        """The contract's final events, oldest first; of one name and about one digest where given."""
        _, last, _ = self._node.newest()
        topics = [None if name is None else "0x" + event_topic(name).hex()]
        if subject is not None:
            topics.append("0x" + subject.hex())
        wanted = {"address": Web3.to_checksum_address(self._domain.contract), "topics": topics}
        found: list[Event] = []
        times: dict[int, int] = {}
        for log in self._logs(wanted, self._first_block, last):
            decoded = decode_event([bytes(topic) for topic in log["topics"]], bytes(log["data"]))
            if decoded is not None:
                number = int(log["blockNumber"])
                if number not in times:
                    with self._node.asked() as eth:
                        times[number] = int(eth.get_block(number)["timestamp"])
                found.append(Event(decoded[0], number, times[number], decoded[1]))
        return found

    def _logs(self, wanted: Mapping[str, Any], first: int, last: int) -> list[Any]:
        """The logs of blocks `first` to `last`, asked for in halves where the node finds that too many at once."""
        if first > last:
            return []
        try:
            with self._node.asked() as eth:
                return list(eth.get_logs({**wanted, "fromBlock": first, "toBlock": last}))
        except ChainError as error:
            if not isinstance(error.__cause__, Web3RPCError) or last - first < _FEWEST_BLOCKS:
                raise
        middle = (first + last) // 2
        return self._logs(wanted, first, middle) + self._logs(wanted, middle + 1, last)


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
