"""Which header is believed: the newest one that enough of the nodes give alike as final.

What a node says of itself decides nothing.  Each header is hashed here, the hashes are counted, and one that fewer than
`agree` nodes give is as good as none; so of n nodes, agree − 1 may lie together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from graphopt_governance.chains.block_header import header_bytes
from graphopt_governance.chains.chain import Checkpoint
from graphopt_governance.chains.rpc_endpoint import Endpoint, RefusedByNodeError
from graphopt_governance.chains.state_trie import Header
from graphopt_governance.errors import ChainError, UnreachableError

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Told:
    """A header that a node gave: its RLP, what it says, and whether the node holds the block to be final."""

    raw: bytes
    header: Header
    final: bool


@dataclass(frozen=True, slots=True)
class Agreed:
    """A header that enough nodes gave alike, and these nodes, in the order in which they are asked."""

    told: Told
    by: tuple[Endpoint, ...]


class Agreement:
    """`agree` of `endpoints` on chain `chain_id`; with `checkpoint`, only those that have that block are counted."""

    def __init__(
        self, endpoints: Sequence[Endpoint], agree: int, chain_id: int, checkpoint: Checkpoint | None = None
    ) -> None:
        if not 1 <= agree <= len(endpoints):
            raise ChainError(f"{agree} of {len(endpoints)} nodes cannot agree")
        if len({endpoint.place for endpoint in endpoints}) != len(endpoints):
            raise ChainError("the same node is named twice; one node is one voice")
        self._endpoints = tuple(endpoints)
        self._agree = agree
        self._chain_id = chain_id
        self._checkpoint = checkpoint
        self._known: set[int] = set()

    def header(self) -> Agreed:
        """The newest header that enough nodes give alike; ChainError, with what each node said, when there is none."""
        newest = _each(self._newest, self._endpoints)
        heads = {place: said for place, said in enumerate(newest) if isinstance(said, Told)}
        heights = sorted((said.header.number for said in heads.values()), reverse=True)
        # what fewer nodes have than must agree cannot be agreed on
        for height in sorted(set(heights[self._agree - 1 :]), reverse=True):
            having = [place for place, said in heads.items() if said.header.number >= height]

            def at_height(place: int, height: int = height) -> Told:
                told = heads[place]
                if told.header.number == height:
                    return told
                return replace(self._block(self._endpoints[place], height), final=told.final)

            said = dict(zip(having, _each(at_height, having), strict=True))
            for told in said.values():
                if not isinstance(told, Told):
                    continue
                alike = [at for at, other in said.items() if isinstance(other, Told) and other.raw == told.raw]
                if len(alike) >= self._agree:
                    # who says that it has no final block yet takes nothing from what enough others hold to be final
                    final = sum(heads[place].final for place in alike) >= self._agree
                    return Agreed(replace(told, final=final), tuple(self._endpoints[place] for place in alike))
        raise self._disagreement(newest)

    def _newest(self, endpoint: Endpoint) -> Told:
        if id(endpoint) not in self._known:
            self._check(endpoint)
            self._known.add(id(endpoint))
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
        if (served := endpoint.chain_id) != self._chain_id:
            raise ChainError(
                f"the node at {endpoint.name} serves chain {served}; the federation is on chain {self._chain_id}"
            )
        wanted = self._checkpoint
        if wanted is not None and self._block(endpoint, wanted.number).header.digest != wanted.digest:
            raise ChainError(
                f"the node at {endpoint.name} has another block {wanted.number} than the checkpoint"
                f" 0x{wanted.digest.hex()}"
            )

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

    def _disagreement(self, newest: Sequence[Told | ChainError]) -> ChainError:
        failures = [said for said in newest if isinstance(said, ChainError)]
        if len(self._endpoints) == 1 and failures:
            return failures[0]
        said = "; ".join(
            str(told)
            if isinstance(told, ChainError)
            else f"{endpoint.name} has block {told.header.number}, 0x{told.header.digest.hex()[:16]}…"
            for endpoint, told in zip(self._endpoints, newest, strict=True)
        )
        sentence = f"{self._agree} of {len(newest)} nodes must agree on a final block, and do not: {said}"
        silent = sum(isinstance(failure, UnreachableError) for failure in failures)
        # nobody contradicted anybody: the chain is out of reach, rather than in doubt
        out_of_reach = silent and len(newest) - silent < self._agree and len(failures) == silent
        return UnreachableError(sentence) if out_of_reach else ChainError(sentence)


class _NoSuchBlockError(ChainError):
    """A node does not have the block that was asked for."""


def _says_no_such_block(error: RefusedByNodeError) -> bool:
    # invalid parameters, or the Engine API's unknown block; a busy node must not pass for one without finality
    text = error.message.lower()
    return error.code in (-32602, -39001) or "finalized" in text or "unknown block" in text


_K = TypeVar("_K")


def _each(ask: Callable[[_K], _T], of: Iterable[_K]) -> list[_T | ChainError]:
    """What `ask` gives for each, or the ChainError that it raises; all are asked at once."""

    def safely(one: _K) -> _T | ChainError:
        try:
            return ask(one)
        except ChainError as error:
            return error

    listed = list(of)
    if len(listed) < 2:
        return [safely(one) for one in listed]
    with ThreadPoolExecutor(len(listed)) as pool:
        return list(pool.map(safely, listed))
