"""Which header is believed: the newest one that enough of the nodes give alike as final.

What a node says of itself decides nothing.  Each header is hashed here, the hashes are counted, and one that fewer than
`agree` nodes give is as good as none; so of n nodes, agree − 1 may lie together.  All are asked at once, and nobody is
waited for once enough say the same: at most a moment longer, where another might show a newer block.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from graphopt_governance.chains.block_header import header_bytes
from graphopt_governance.chains.chain import Checkpoint
from graphopt_governance.chains.rpc_endpoint import Endpoint, RefusedByNodeError
from graphopt_governance.chains.rpc_polling import GRACE_SECONDS, Asking, is_alone, poll
from graphopt_governance.chains.state_trie import Header
from graphopt_governance.chains.time_limit import seconds_left
from graphopt_governance.errors import ChainError, UnreachableError


@dataclass(frozen=True, slots=True)
class Told:
    """A header that a node gave: its RLP, what it says, and whether the node holds the block to be final."""

    raw: bytes
    header: Header
    final: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """A header that enough nodes gave alike, and these nodes, the quickest first."""

    told: Told
    by: tuple[Endpoint, ...]


class Agreement:
    """`agree` of `endpoints` on chain `chain_id`; with `checkpoint`, only those that have that block are counted."""

    def __init__(
        self, endpoints: Sequence[Endpoint], agree: int, chain_id: int, checkpoint: Checkpoint | None = None
    ) -> None:
        require_different(endpoints, agree)
        self.endpoints = tuple(endpoints)
        self.agree = agree
        self.chain_id = chain_id
        self._checkpoint = checkpoint
        self._known: set[int] = set()

    def header(self) -> Agreed:
        """The newest header that enough nodes give alike; ChainError, with what each node said, when there is none."""
        said = _Said(self.agree)
        until: float | None = None
        with Asking[tuple[int, int | None], Told]() as asking:
            for place, endpoint in enumerate(self.endpoints):
                alone = is_alone(self.endpoints)
                asking.put((place, None), endpoint, partial(self._newest, endpoint), at_once=alone)
            while True:
                agreed = said.agreed()
                if agreed is not None and (self._is_enough(said, *agreed) or not asking.under_way):
                    return self._agreed(said, *agreed)
                if agreed is not None and until is None:
                    until = time.monotonic() + GRACE_SECONDS
                left = seconds_left() if until is None else seconds_left(max(0.0, until - time.monotonic()))
                if (told := asking.next(left)) is None:
                    if agreed is not None:
                        return self._agreed(said, *agreed)
                    raise self._disagreement(said)
                (place, height), answer = told
                said.take(place, height, answer)
                for at, wanted in said.missing():
                    endpoint = self.endpoints[at]
                    asking.put((at, wanted), endpoint, partial(self._block, endpoint, wanted))

    def at(self, number: int) -> Header:
        """The header of a block that enough nodes give alike; ChainError when they do not."""
        heard = poll(self.endpoints, self.agree, lambda endpoint: self._checked_block(endpoint, number))
        found = heard.alike(self.agree)
        if found is None:
            raise heard.failure(f"{self.agree} of {len(self.endpoints)} nodes do not show the same block {number}: ")
        return found[0].header

    def _is_enough(self, said: _Said, agreed: Told, places: tuple[int, ...]) -> bool:
        """Whether nobody need be waited for: the newest block of enough, who are of one mind whether it is final."""
        if self.agree == 1 < len(self.endpoints):
            # whoever is quickest may be behind, and nobody else has to confirm it
            return False
        finals = [said.heads[place].final for place in places if said.heads[place].raw == agreed.raw]
        return max(finals.count(True), finals.count(False)) >= self.agree

    def _agreed(self, said: _Said, told: Told, places: tuple[int, ...]) -> Agreed:
        nodes = tuple(self.endpoints[place] for place in places)
        # names that turn out to be one address
        require_different(nodes, self.agree)
        # who says that it has no final block yet takes nothing from what enough others hold to be final
        final = sum(said.heads[place].final for place in places) >= self.agree
        return Agreed(replace(told, final=final), nodes)

    def _checked_block(self, endpoint: Endpoint, number: int) -> Told:
        self._check(endpoint)
        return self._block(endpoint, number)

    def _newest(self, endpoint: Endpoint) -> Told:
        self._check(endpoint)
        try:
            return self._block(endpoint, "finalized")
        except RefusedByNodeError as error:
            if not _says_no_such_block(error):
                raise
        except _NoSuchBlockError:
            pass
        # a chain without finality, or a node that has not seen any yet
        return replace(self._block(endpoint, "latest"), final=False)

    def _check(self, endpoint: Endpoint) -> None:
        """Whether this is a node of the chain at all, once: ChainError when not."""
        if id(endpoint) in self._known:
            return
        if len(self.endpoints) > 1:
            endpoint.resolve()
        if (served := endpoint.chain_id) != self.chain_id:
            raise ChainError(
                f"the node at {endpoint.name} serves chain {served}; the federation is on chain {self.chain_id}"
            )
        wanted = self._checkpoint
        if wanted is not None and self._block(endpoint, wanted.number).header.digest != wanted.digest:
            raise ChainError(
                f"the node at {endpoint.name} has another block {wanted.number} than the checkpoint"
                f" 0x{wanted.digest.hex()}"
            )
        self._known.add(id(endpoint))

    def _block(self, endpoint: Endpoint, which: int | str) -> Told:
        answer = endpoint.ask("eth_getBlockByNumber", hex(which) if isinstance(which, int) else which, False)
        if answer is None:
            raise _NoSuchBlockError(f"the node at {endpoint.name} has no block {which}")
        try:
            raw = header_bytes(answer if isinstance(answer, dict) else {**answer})
            header = Header.decode(raw)
        except (ValueError, TypeError) as error:
            raise ChainError(
                f"what answers at {endpoint.name} is no Ethereum node, or answers wrongly: {error}"
            ) from error
        if isinstance(which, int) and header.number != which:
            raise ChainError(f"the node at {endpoint.name} answers block {header.number} where {which} was asked for")
        return Told(raw, header, final=True)

    def _disagreement(self, said: _Said) -> ChainError:
        newest: list[Told | ChainError] = []
        for place, endpoint in enumerate(self.endpoints):
            newest.append(said.heads.get(place) or said.failures.get(place) or endpoint.unanswered(" in time"))
        failures = [told for told in newest if isinstance(told, ChainError)]
        if len(self.endpoints) == 1 and failures:
            return failures[0]
        words = "; ".join(
            str(told)
            if isinstance(told, ChainError)
            else f"{endpoint.name} has block {told.header.number}, 0x{told.header.digest.hex()[:16]}…"
            for endpoint, told in zip(self.endpoints, newest, strict=True)
        )
        sentence = f"{self.agree} of {len(newest)} nodes must agree on a final block, and do not: {words}"
        silent = sum(isinstance(failure, UnreachableError) for failure in failures)
        # nobody contradicted anybody: the chain is out of reach, rather than in doubt
        out_of_reach = silent and len(newest) - silent < self.agree and len(failures) == silent
        return UnreachableError(sentence) if out_of_reach else ChainError(sentence)


@dataclass(slots=True)
class _Said:
    """What has been heard so far: each node's newest header, and headers further down for comparison.  By place."""

    agree: int
    heads: dict[int, Told] = field(default_factory=dict[int, Told])
    failures: dict[int, ChainError] = field(default_factory=dict[int, ChainError])
    _below: dict[tuple[int, int], Told | None] = field(default_factory=dict[tuple[int, int], "Told | None"])

    def take(self, place: int, height: int | None, answer: Told | ChainError) -> None:
        """An answer about a height, None for the newest."""
        if height is not None:
            self._below[place, height] = None if isinstance(answer, ChainError) else answer
        elif isinstance(answer, ChainError):
            self.failures[place] = answer
        else:
            self.heads[place] = answer

    def missing(self) -> list[tuple[int, int]]:
        """What to ask for to compare those who have different newest blocks; each thing once."""
        heights = sorted((told.header.number for told in self.heads.values()), reverse=True)
        # what fewer nodes have than must agree cannot be agreed on
        wanted = {
            (place, height)
            for height in set(heights[self.agree - 1 :])
            for place, told in self.heads.items()
            if told.header.number > height and (place, height) not in self._below
        }
        self._below |= dict.fromkeys(wanted)
        return sorted(wanted)

    def at_height(self, place: int, height: int) -> Told | None:
        """What a node gave at a height."""
        told = self.heads.get(place)
        return told if told is not None and told.header.number == height else self._below.get((place, height))

    def agreed(self) -> tuple[Told, tuple[int, ...]] | None:
        """The highest header that enough gave alike, and who did, in the order in which they answered."""
        for height in sorted({told.header.number for told in self.heads.values()}, reverse=True):
            given = {place: told for place in self.heads if (told := self.at_height(place, height)) is not None}
            for told in given.values():
                alike = tuple(place for place, other in given.items() if other.raw == told.raw)
                if len(alike) >= self.agree:
                    return told, alike
        return None


def require_different(endpoints: Sequence[Endpoint], agree: int) -> None:
    """ChainError when so many cannot agree, or two of them reach the same node."""
    if not 1 <= agree <= len(endpoints):
        raise ChainError(f"{agree} of {len(endpoints)} nodes cannot agree")
    for at, one in enumerate(endpoints):
        for other in endpoints[at + 1 :]:
            if one.is_same_node(other):
                names = "" if one.name == other.name else f", as {one.name} and as {other.name}"
                raise ChainError(f"the same node is named twice{names}; one node is one voice")


class _NoSuchBlockError(ChainError):
    """A node does not have the block that was asked for."""


def _says_no_such_block(error: RefusedByNodeError) -> bool:
    # invalid parameters, or the Engine API's unknown block; a busy node must not pass for one without finality
    text = error.message.lower()
    return error.code in (-32602, -39001) or "finalized" in text or "unknown block" in text
