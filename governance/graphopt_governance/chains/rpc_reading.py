"""Reading a federation's contract through Ethereum nodes, none of which is believed.

One thing is taken from the nodes, a header, and only if enough of them give the same (`rpc_agreement`).  All else is
proven under that header's state root: the contract's account with the hash of its code, and each word of its storage
(`eth_getProof`, EIP-1186), checked node by node here.  So any of the nodes may be asked for proofs, and one whose proof
does not hold is passed over.  Events are not proven: they are shown, and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from eth_hash.auto import keccak

from graphopt_governance.chains.block_header import data_bytes, quantity
from graphopt_governance.chains.chain import Snapshot
from graphopt_governance.chains.rpc_agreement import Agreed, Agreement
from graphopt_governance.chains.rpc_endpoint import Endpoint, RefusedByNodeError
from graphopt_governance.chains.state_trie import Header, IncompleteError, Recorded, TrieStorage
from graphopt_governance.errors import ChainError, UnreachableError
from graphopt_governance.protocol.action import Domain, word
from graphopt_governance.protocol.contract import Event, State, artifact, decode_event, event_topic

_FEWEST_BLOCKS = 1000
_MOST_NODES = 64
_MOST_EVENTS = 100_000
_MAX_NODE = 4096


class Reader:
    """Reads the contract at `domain` through nodes of which enough agree, its events from `first_block` on."""

    def __init__(self, endpoints: Sequence[Endpoint], agreement: Agreement, domain: Domain, first_block: int) -> None:
        self._endpoints = tuple(endpoints)
        self._agreement = agreement
        self._domain = domain
        self._first_block = first_block

    @property
    def basis(self) -> str:
        """What a reading rests on now, in words."""
        return self.snapshot().basis

    def snapshot(self) -> Snapshot:
        """The contract as of the newest final block that the nodes agree on; ChainError when they prove none."""
        agreed = self._agreement.header()
        header = agreed.told.header
        # who gave this header can prove what is under it; the others may be behind
        storage = ProvenStorage(agreed.by, self._domain.contract, header)
        return Snapshot(
            header.number,
            header.time,
            State(storage),
            agreed.told.raw,
            storage.used,
            _basis(agreed, len(self._endpoints)),
            tuple(endpoint.name for endpoint in agreed.by),
            agreed.told.final,
        )

    def events(self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None) -> list[Event]:
        """The contract's final events by the word of one node, oldest first; of those asked for.

        They prove nothing: a node can leave out and invent.
        """
        last = self._agreement.header().told.header.number
        words = [None if name is None else event_topic(name), subject, None, build]
        while words and words[-1] is None:
            # a node takes a longer list for a demand that there be so many
            words.pop()
        topics = [None if item is None else "0x" + item.hex() for item in words]
        wanted = {"address": "0x" + self._domain.contract.hex(), "topics": topics}
        return _from_any(self._endpoints, lambda endpoint: self._told(endpoint, wanted, last))

    def _told(self, endpoint: Endpoint, wanted: Mapping[str, Any], last: int) -> list[Event]:
        found: list[Event] = []
        times: dict[int, int] = {}
        try:
            for log in _logs(endpoint, wanted, self._first_block, last):
                decoded = decode_event([data_bytes(topic, 32) for topic in log["topics"]], data_bytes(log["data"]))
                if decoded is None:
                    continue
                number = quantity(log["blockNumber"])
                if number not in times:
                    block = endpoint.ask("eth_getBlockByNumber", hex(number), False)
                    times[number] = quantity(block["timestamp"])
                found.append(Event(decoded[0], number, times[number], decoded[1]))
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise endpoint.answers_wrongly() from error
        return found


class ProvenStorage:
    """The storage of the contract at `address` under a header, from proofs that any of `endpoints` gives.

    `used` collects the nodes that what was read rests on.  ChainError when there is no contract, or another one, or no
    endpoint gives a proof that holds.
    """

    def __init__(self, endpoints: Sequence[Endpoint], address: bytes, header: Header) -> None:
        self._endpoints = list(endpoints)
        self._address = address
        self._header = header
        self._nodes: dict[bytes, bytes] = {}
        self._proven: set[int] = set()
        # the account is proven with the first word, and who reads anything reads the epoch
        self.expect([artifact()["layout"]["epoch"]])
        recorded = Recorded(self._nodes.get)
        self.used = recorded.used
        self._storage = TrieStorage(recorded, header.state_root, address)

    def slot(self, key: int) -> int:
        """The word at `key`; 0 where nothing was written."""
        self.expect([key])
        return self._storage.slot(key)

    def expect(self, keys: Sequence[int]) -> None:
        """Have proofs for these words at hand, asked for at once."""
        if missing := [key for key in dict.fromkeys(keys) if key not in self._proven]:
            self._nodes |= _from_any(self._endpoints, lambda endpoint: self._proof(endpoint, missing))
            self._proven.update(missing)

    def _proof(self, endpoint: Endpoint, keys: Sequence[int]) -> dict[bytes, bytes]:
        """The nodes of a proof for `keys`, of which it is made sure that they suffice."""
        slots = ["0x" + word(key).hex() for key in keys]
        answer = endpoint.ask("eth_getProof", "0x" + self._address.hex(), slots, hex(self._header.number))
        try:
            lists = [answer["accountProof"], *(given["proof"] for given in answer["storageProof"])]
            raws = [data_bytes(raw, most=_MAX_NODE) for given in lists for raw in _few(given)]
        except (ValueError, KeyError, TypeError) as error:
            raise endpoint.answers_wrongly() from error
        # by their own hash: a node that was altered is one that nobody asks for
        nodes = {keccak(raw): raw for raw in raws}
        try:
            storage = TrieStorage((self._nodes | nodes).get, self._header.state_root, self._address)
            for key in keys:
                storage.slot(key)
        except IncompleteError as error:
            raise ChainError(
                f"the node at {endpoint.name} does not prove what it says of block {self._header.number}:"
                " nodes of the state on the way to it are missing, or do not have their hash"
            ) from error
        return nodes


def _basis(agreed: Agreed, asked: int) -> str:
    told = agreed.told
    kind = "finalized" if told.final else "latest"
    by = ", ".join(endpoint.name for endpoint in agreed.by)
    whom = f"the word of the node at {by}" if asked == 1 else f"{len(agreed.by)} of {asked} nodes that agree ({by})"
    text = f"{whom} for the header of {kind} block {told.header.number}; all else is proven under it"
    if not told.final:
        text += "; no finalized one is known, so a reorganisation can undo this"
    return text


def _from_any(endpoints: Sequence[Endpoint], ask: Any) -> Any:
    """What the first endpoint gives that gives it; ChainError with what all said when none does."""
    failures: list[ChainError] = []
    for endpoint in endpoints:
        try:
            return ask(endpoint)
        except ChainError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    sentence = "; ".join(dict.fromkeys(map(str, failures)))
    if all(isinstance(failure, UnreachableError) for failure in failures):
        raise UnreachableError(sentence)
    raise ChainError(sentence)


def _few(given: object) -> Iterable[object]:
    if not isinstance(given, list | tuple) or len(cast("list[object]", given)) > _MOST_NODES:
        raise ValueError("not a list of nodes")
    return cast("list[object]", given)


def _logs(endpoint: Endpoint, wanted: Mapping[str, Any], first: int, last: int) -> list[Any]:
    """The logs of blocks `first` to `last`, asked for in halves where the node finds that too many at once."""
    if first > last:
        return []
    try:
        answer = endpoint.ask("eth_getLogs", {**wanted, "fromBlock": hex(first), "toBlock": hex(last)})
    except RefusedByNodeError:
        if last - first < _FEWEST_BLOCKS:
            raise
    else:
        if not isinstance(answer, list) or len(cast("list[Any]", answer)) > _MOST_EVENTS:
            raise endpoint.answers_wrongly()
        return cast("list[Any]", answer)
    middle = (first + last) // 2
    return _logs(endpoint, wanted, first, middle) + _logs(endpoint, wanted, middle + 1, last)
