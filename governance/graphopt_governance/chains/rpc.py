"""A federation on any Ethereum chain, behind its nodes' RPC: the same `Chain` as the embedded one.

Reading (`rpc_reading`) believes a header that enough nodes agree on, and nothing else that they say.  Sending
(`rpc_sending`) goes through all nodes, and believes what was done when it is final and proven.  Only what sends imports
that, and only when it sends.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from graphopt_governance.chains.chain import Receipt, Snapshot
from graphopt_governance.chains.floors import Floors
from graphopt_governance.chains.rpc_agreement import Agreement, require_different
from graphopt_governance.chains.rpc_endpoint import Endpoint, Provider
from graphopt_governance.chains.rpc_reading import Reader
from graphopt_governance.chains.time_limit import seconds_left
from graphopt_governance.chains.where import Where
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.contract import Event, Founder, deployment

if TYPE_CHECKING:
    from graphopt_governance.chains.rpc_sending import Payer, Sender

PATIENCE_SECONDS = 1800.0

CATCH_UP_SECONDS = 5.0
"""For how long nodes are asked again that show less of the chain than a home has seen, before they are refused."""

_PAUSE_SECONDS = 0.5


class RpcChain:
    """The federation that `where` names, behind nodes; `RpcChain.found` makes a new one.

    `where.agree` of `providers` must give a header alike before it is believed; what is sent goes through all.
    `patience`: how many seconds `submit` waits for what it sent to be final, on Ethereum some 15 minutes.  Nothing
    is asked before something is read.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        where: Where,
        home: Home,
        payer: Payer,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._domain = where.domain
        self._home, self._payer, self._patience = home, payer, patience
        endpoints = [Endpoint(provider) for provider in providers]
        self._agreement = Agreement(endpoints, where.agree, where.domain.chain_id, where.checkpoint)
        self._reader = Reader(endpoints, self._agreement, where.domain, where.first_block)
        self._floors: Floors | None = None

    def remembering(self, floors: Floors) -> RpcChain:
        """The same, whose every snapshot is held against what a home has seen, and raises it."""
        self._floors = floors
        return self

    @classmethod
    def open(
        cls,
        providers: Sequence[Provider],
        where: Where,
        home: Home,
        payer: Payer,
        patience: float = PATIENCE_SECONDS,
    ) -> RpcChain:
        """The federation that `where` names, behind these nodes; what is sent is kept in the outbox of `home`."""
        return cls(providers, where, home, payer, patience)

    @classmethod
    def found(
        cls,
        providers: Sequence[Provider],
        home: Home,
        founders: Sequence[Founder],
        payer: Payer,
        *,
        quorum: int = 1,
        delay: int = 0,
        patience: float = PATIENCE_SECONDS,
    ) -> RpcChain:
        """Deploy a federation of `founders`, and keep where it is in `home.federation` once that is proven.

        Its address follows from who pays and how much he paid for before: no node names it.  Under a final header that
        enough nodes give alike, the contract's code must be there, and members, keys, rights, quorum and delay must be
        those that were asked for.  That the chain has this id, and in which block it was founded, is what as many say.
        The federation is from then on reached by the URLs that `home.chain` names.
        """
        if home.federation.exists():
            raise ChainError(f"{home.federation} names a federation already")
        endpoints = [Endpoint(provider) for provider in providers]
        reached = Where(Domain(0, bytes(20)), 0).reached_by(home.endpoints)
        # nodes that cannot agree are refused before anything is paid for
        require_different(endpoints, reached.agree)
        chain_id = _chain_of(endpoints, reached.agree)
        sender = _sender(Agreement(endpoints, reached.agree, chain_id), home, payer, patience)
        done = sender.send(None, deployment(founders, quorum, delay), "the new federation")
        where = replace(reached, domain=Domain(chain_id, done.contract), first_block=done.block)
        where.write(home)
        if done.was_left:
            raise ChainError("the new federation that was begun before is made now, with other members or rules")
        return cls.open(providers, where, home, payer, patience)

    @property
    def domain(self) -> Domain:
        """Where this federation's signatures hold."""
        return self._domain

    @property
    def basis(self) -> str:
        """What a reading rests on, in words."""
        return self._reader.basis

    def snapshot(self) -> Snapshot:
        """The contract as of the newest final block that the nodes agree on; ChainError when they prove none."""
        if self._floors is None:
            return self._reader.snapshot()
        return self._floors.held(self._domain, self._caught_up)

    def _caught_up(self, seen: int) -> Snapshot:
        """The newest snapshot, asked for again, for a few seconds, while it is of a block before `seen`.

        Nodes that agree today may be others than those that agreed before, of which one is slow now: of the rest, one
        may be a block behind for a moment.  Half of the time that is left must do, so that the answer is in time.
        """
        end = time.monotonic() + min(CATCH_UP_SECONDS, seconds_left() / 2)
        while (snapshot := self._reader.snapshot()).block < seen and (left := end - time.monotonic()) > 0:
            time.sleep(min(_PAUSE_SECONDS, left))
        return snapshot

    def events(self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None) -> list[Event]:
        """The final events as enough nodes tell them, oldest first; of one name and about one digest where given."""
        return self._reader.events(name, subject, build)

    def settle(self) -> None:
        """Return when what an earlier process sent from this home, and did not see done, is done."""
        _sender(self._agreement, self._home, self._payer, self._patience).settle()

    def submit(self, call: bytes, what: str) -> Receipt:
        """Simulate a call to the contract, send it through every node, and return once it is proven to be done.

        ActionError, about `what`, when the contract turns it down; ChainError when the nodes do, or it is not proven
        in time: then the same call, repeated by whatever process, goes on waiting, and is done and paid once.
        """
        self.snapshot()
        done = _sender(self._agreement, self._home, self._payer, self._patience).send(self._domain.contract, call, what)
        self._await(done.block, what)
        return Receipt(done.block, done.time, done.gas)

    def _await(self, number: int, what: str) -> None:
        """Return when the block is read from as well: who reads next then finds what was done."""
        end = time.monotonic() + self._patience
        while self.snapshot().block < number:
            if time.monotonic() > end:
                raise ChainError(f"{what} is done in block {number}, which too few of the nodes show any more")
            time.sleep(_PAUSE_SECONDS)


def _sender(agreement: Agreement, home: Home, payer: Payer, patience: float) -> Sender:
    from graphopt_governance.chains.outbox import Outbox
    from graphopt_governance.chains.rpc_nodes import Nodes
    from graphopt_governance.chains.rpc_sending import Sender

    return Sender(Nodes(agreement), Outbox(home.folder), payer, patience)


def _chain_of(endpoints: Sequence[Endpoint], agree: int) -> int:
    from graphopt_governance.chains.rpc_nodes import chain_of

    return chain_of(endpoints, agree)
