"""Reading a federation's contract through Ethereum nodes, none of which is believed.

One thing is taken from the nodes, a header, and only if enough of them give the same (`rpc_agreement`).  All else is
proven under that header's state root: the contract's account with the hash of its code, and each word of its storage
(`eth_getProof`, EIP-1186), checked node by node here.  So any of the nodes may be asked for proofs, and one whose proof
does not hold, or takes its time, is passed over.  Events are not proven: as far as enough nodes tell the same, they are
shown; they decide nothing, and nothing waits for them longer than is stated.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, cast

from eth_hash.auto import keccak

from graphopt_governance.chains.block_header import data_bytes, quantity
from graphopt_governance.chains.chain import Snapshot
from graphopt_governance.chains.rpc_agreement import Agreed, Agreement, Told
from graphopt_governance.chains.rpc_endpoint import Endpoint, RefusedByNodeError, TooLongError
from graphopt_governance.chains.rpc_polling import first_of, poll
from graphopt_governance.chains.state_trie import Header, IncompleteError, Recorded, TrieStorage, account_fields
from graphopt_governance.chains.time_limit import within
from graphopt_governance.errors import ChainError
from graphopt_governance.protocol.action import Domain, word
from graphopt_governance.protocol.contract import Event, State, artifact, decode_event, event_topic

EVENTS_SECONDS = 3.0
"""For how long what decides nothing is asked for, about one bundle."""

HISTORY_SECONDS = 120.0
"""For how long a whole history is asked for."""

_MAX_EVENTS = 2**20
"""Bytes of JSON that a node's answer about one bundle may have."""

_FEWEST_BLOCKS = 1000
_MOST_NODES = 64
_MOST_KEYS = 64
_MOST_EVENTS = 100_000
_MOST_OF_ONE = 1000
_MAX_NODE = 4096


class Reader:
    """Reads the contract at `domain` through nodes of which enough agree, its events from `first_block` on."""

    def __init__(self, endpoints: Sequence[Endpoint], agreement: Agreement, domain: Domain, first_block: int) -> None:
        self._endpoints = tuple(endpoints)
        self._agreement = agreement
        self._domain = domain
        self._first_block = first_block
        self._height: int | None = None

    @property
    def basis(self) -> str:
        """What a reading rests on now, in words."""
        return self.snapshot().basis

    def snapshot(self) -> Snapshot:
        """The contract as of the newest final block that the nodes agree on; ChainError when they prove none."""
        return self.under(self._agreement.header())

    def under(self, agreed: Agreed) -> Snapshot:
        """The contract as it is under a header; ChainError when nobody proves that it is there."""
        header = agreed.told.header
        self._height = header.number
        # who gave this header can prove what is under it; the others may be behind, and are asked last
        others = [endpoint for endpoint in self._endpoints if endpoint not in agreed.by]
        storage = ProvenStorage([*agreed.by, *others], self._domain.contract, header)
        named = [endpoint for endpoint in self._endpoints if endpoint in agreed.by]
        snapshot = Snapshot(
            header.number,
            header.time,
            State(storage),
            agreed.told.raw,
            storage.used,
            _basis(agreed.told, named, len(self._endpoints)),
            tuple(endpoint.name for endpoint in named),
            agreed.told.final,
        )
        return replace(snapshot, again=partial(_again, snapshot, storage))

    def events(self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None) -> list[Event]:
        """The contract's final events, oldest first, as enough nodes tell them; of those asked for.

        Up to the block of the last snapshot, where one was taken.  Where fewer nodes answer than must agree, one node's
        word is taken.  They prove nothing: a node can leave out and invent.  Of a bundle's events, only the newest has
        its time.
        """
        last = self._height if self._height is not None else self._agreement.header().told.header.number
        words = [None if name is None else event_topic(name), subject, None, build]
        while words and words[-1] is None:
            # a node takes a longer list for a demand that there be so many
            words.pop()
        topics = [None if item is None else "0x" + item.hex() for item in words]
        wanted = {"address": "0x" + self._domain.contract.hex(), "topics": topics}
        few = bool(words)
        with within(EVENTS_SECONDS if few else HISTORY_SECONDS):
            agree = self._agreement.agree
            heard = poll(
                self._endpoints, agree, lambda node: self._told(node, wanted, last, few), grace_seconds=math.inf
            )
            found = heard.alike(min(agree, len(heard.answers) or 1))
            if found is None:
                raise heard.failure(f"{agree} of {len(self._endpoints)} nodes do not tell the same events: ")
            return self._dated(found[0], few)

    def _told(self, endpoint: Endpoint, wanted: Mapping[str, Any], last: int, few: bool) -> list[Event]:
        found: list[Event] = []
        try:
            for log in _logs(endpoint, wanted, self._first_block, last, _MAX_EVENTS if few else None):
                decoded = decode_event([data_bytes(topic, 32) for topic in log["topics"]], data_bytes(log["data"]))
                if decoded is None:
                    continue
                if not self._first_block <= (number := quantity(log["blockNumber"])) <= last:
                    raise endpoint.answers_wrongly()
                found.append(Event(decoded[0], number, 0, decoded[1]))
                if len(found) > (_MOST_OF_ONE if few else _MOST_EVENTS):
                    raise endpoint.answers_wrongly()
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise endpoint.answers_wrongly() from error
        return found

    def _dated(self, events: list[Event], few: bool) -> list[Event]:
        """The events with the times of their blocks, which enough nodes give alike; of `few`, of the newest alone."""
        if few:
            return [*events[:-1], *(replace(event, time=self._agreement.at(event.block).time) for event in events[-1:])]
        times = {number: self._agreement.at(number).time for number in {event.block for event in events}}
        return [replace(event, time=times[event.block]) for event in events]


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
        self._begin()

    def _begin(self) -> None:
        recorded = Recorded(self._nodes.get)
        self.used = recorded.used
        self._storage = TrieStorage(recorded, self._header.state_root, self._address)

    def again(self) -> ProvenStorage:
        """The same storage with what was proven of it, and nothing in `used` yet."""
        other = copy(self)
        other._begin()
        return other

    def slot(self, key: int) -> int:
        """The word at `key`; 0 where nothing was written."""
        self.expect([key])
        return self._storage.slot(key)

    def expect(self, keys: Sequence[int]) -> None:
        """Have proofs for these words at hand, asked for at once."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._proven]
        for at in range(0, len(missing), _MOST_KEYS):
            some = missing[at : at + _MOST_KEYS]
            # both are shared with what `again` gave
            self._nodes.update(first_of(self._endpoints, lambda endpoint, some=some: self._proof(endpoint, some)))
            self._proven.update(some)

    def _proof(self, endpoint: Endpoint, keys: Sequence[int]) -> dict[bytes, bytes]:
        """The nodes of a proof for `keys`, of which it is made sure that they suffice."""
        nodes = _given_nodes(endpoint, self._address, keys, self._header.number)
        try:
            storage = TrieStorage((self._nodes | nodes).get, self._header.state_root, self._address)
            for key in keys:
                storage.slot(key)
        except IncompleteError as error:
            raise _unproven(endpoint, self._header) from error
        return nodes


def proven_nonce(agreed: Agreed, account: bytes) -> int:
    """How many transactions of an account are in blocks up to the one that was agreed on; ChainError unless proven."""
    header = agreed.told.header

    def prove(endpoint: Endpoint) -> int:
        nodes = _given_nodes(endpoint, account, (), header.number)
        try:
            fields = account_fields(nodes.get, header.state_root, account)
        except IncompleteError as error:
            raise _unproven(endpoint, header) from error
        return int.from_bytes(fields[0], "big") if fields else 0

    return first_of(agreed.by, prove)


def _given_nodes(endpoint: Endpoint, address: bytes, keys: Sequence[int], number: int) -> dict[bytes, bytes]:
    """The nodes of the state that a node gives as a proof, by their own hash.

    So one that was altered is one that nobody asks for.
    """
    slots = ["0x" + word(key).hex() for key in keys]
    answer = endpoint.ask("eth_getProof", "0x" + address.hex(), slots, hex(number))
    try:
        lists = [answer["accountProof"], *(given["proof"] for given in answer["storageProof"])]
        raws = [data_bytes(raw, most=_MAX_NODE) for given in lists for raw in _few(given)]
    except (ValueError, KeyError, TypeError) as error:
        raise endpoint.answers_wrongly() from error
    return {keccak(raw): raw for raw in raws}


def _unproven(endpoint: Endpoint, header: Header) -> ChainError:
    return ChainError(
        f"the node at {endpoint.name} does not prove what it says of block {header.number}:"
        " nodes of the state on the way to it are missing, or do not have their hash"
    )


def _again(snapshot: Snapshot, storage: ProvenStorage) -> Snapshot:
    other = storage.again()
    return replace(snapshot, state=State(other), nodes=other.used)


def _basis(told: Told, by: Sequence[Endpoint], asked: int) -> str:
    kind = "finalized" if told.final else "latest"
    names = ", ".join(endpoint.name for endpoint in by)
    whom = f"the word of the node at {names}" if asked == 1 else f"{len(by)} of {asked} nodes that agree ({names})"
    text = f"{whom} for the header of {kind} block {told.header.number}; all else is proven under it"
    if not told.final:
        text += "; no finalized one is known, so a reorganisation can undo this"
    return text


def _few(given: object) -> Iterable[object]:
    if not isinstance(given, list | tuple) or len(cast("list[object]", given)) > _MOST_NODES:
        raise ValueError("not a list of nodes")
    return cast("list[object]", given)


def _logs(
    endpoint: Endpoint, wanted: Mapping[str, Any], first: int, last: int, most: int | None
) -> Generator[Mapping[str, Any]]:
    """The logs of blocks `first` to `last`, asked for in halves where the node finds that too many at once.

    With `most`, which is of bytes, what is longer is refused instead.
    """
    parts = [(first, last)]
    while parts:
        first, last = parts.pop()
        if first > last:
            continue
        try:
            span = {"fromBlock": hex(first), "toBlock": hex(last)}
            answer = endpoint.ask("eth_getLogs", {**wanted, **span}, most=most)
        except (RefusedByNodeError, TooLongError) as error:
            too_long = isinstance(error, TooLongError)
            if (too_long and most is not None) or last - first < (1 if too_long else _FEWEST_BLOCKS):
                raise
            middle = (first + last) // 2
            # the earlier half comes first
            parts += [(middle + 1, last), (first, middle)]
            continue
        if not isinstance(answer, list):
            raise endpoint.answers_wrongly()
        yield from cast("list[Mapping[str, Any]]", answer)
