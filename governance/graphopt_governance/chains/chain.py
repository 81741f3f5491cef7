"""What governance needs of a chain, so that the embedded one and a real one are used alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.contract import Event, State


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that did what it should: its block, that block's time, and the gas it took."""

    block: int
    time: int
    gas: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The contract as one block left it.

    `header` is the block's, RLP as its hash covers it; `nodes` the nodes of the state that were read under it so far,
    by hash: together they prove all that was read.  `agreed` names the nodes that gave the header, none on a ledger of
    one's own; `final` is whether the block cannot be undone.
    """

    block: int
    time: int
    state: State
    header: bytes
    nodes: Mapping[bytes, bytes]
    basis: str
    """What this rests on, in words."""
    agreed: tuple[str, ...] = ()
    final: bool = True
    ancestor: Callable[[int], bytes | None] | None = None
    """The hash of the block at a lower height, where the header is shown to descend from it, else None."""
    again: Callable[[], Snapshot] | None = None
    """Gives the same reading with empty `nodes`, where taking another one would mean to ask somebody again."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block that is known from elsewhere to be of the chain: its number and its hash (32 bytes)."""

    number: int
    digest: bytes


class Chain(Protocol):
    """A chain on which a federation lives."""

    @property
    def domain(self) -> Domain:
        """Where this federation's signatures hold."""
        ...

    @property
    def basis(self) -> str:
        """What a reading rests on, in words: whom one believes who believes it."""
        ...

    def snapshot(self) -> Snapshot:
        """The contract as of the newest block that counts; ChainError when it cannot be had or does not check out."""
        ...

    def events(
        self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None
    ) -> Sequence[Event]:
        """The contract's events, oldest first; of one name, about one digest, of one build where given."""
        ...

    def settle(self) -> None:
        """Return when what an earlier process sent and did not see final is final; to be called before `submit`.

        What is read afterwards holds it, and where the same is submitted again, its receipt is the answer.
        """
        ...

    def submit(self, call: bytes, what: str) -> Receipt:
        """Send a call to the contract, return once it is final; ActionError, about `what`, when it is turned down."""
        ...
