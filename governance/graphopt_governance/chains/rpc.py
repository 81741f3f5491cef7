"""A federation on any Ethereum chain, behind its nodes' RPC: the same `Chain` as the embedded one.

Reading (`rpc_reading`) believes a header that enough nodes agree on, and nothing else that they say.  Sending
(`rpc_sending`) goes through the first node, and believes what was done when it is final.  Only what sends imports web3,
and only when it sends: importing that takes longer than a whole verification.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from graphopt_governance.chains.chain import Receipt, Snapshot
from graphopt_governance.chains.floors import Floors
from graphopt_governance.chains.rpc_agreement import Agreement
from graphopt_governance.chains.rpc_endpoint import Endpoint, Provider
from graphopt_governance.chains.rpc_reading import Reader
from graphopt_governance.chains.where import Where
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.contract import Event, Founder, deployment

if TYPE_CHECKING:
    from graphopt_governance.chains.rpc_sending import Payer, Sender

PATIENCE_SECONDS = 1800.0


class RpcChain:
    """The federation that `where` names, behind nodes; `RpcChain.found` makes a new one.

    `where.agree` of `providers` must give a header alike before it is believed; what is sent goes through the first.
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
        self._provider, self._home, self._payer, self._patience = providers[0], home, payer, patience
        endpoints = [Endpoint(provider) for provider in providers]
        agreement = Agreement(endpoints, where.agree, where.domain.chain_id, where.checkpoint)
        self._reader = Reader(endpoints, agreement, where.domain, where.first_block)
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
        """Deploy a federation of `founders`, keep where it is in `home.federation`, and wait until it is final.

        The federation is from then on reached by the URLs that `home.chain` names.
        """
        if home.federation.exists():
            raise ChainError(f"{home.federation} names a federation already")
        sender = _sender(providers[0], home, payer, patience)
        chain_id = sender.node.chain_id
        # nodes that cannot agree are refused before anything is paid for
        cls.open(providers, Where(Domain(chain_id, bytes(20)), 0).reached_by(home.endpoints), home, payer)
        places: list[Where] = []

        def keep(receipt: Mapping[str, Any]) -> None:
            # before it is final: that takes long, and who stops waiting must not pay for a second one
            contract = bytes.fromhex(str(receipt["contractAddress"])[2:])
            where = Where(Domain(chain_id, contract), int(receipt["blockNumber"])).reached_by(home.endpoints)
            if int(receipt["status"]) == 1 and where not in places[-1:]:
                where.write(home, instead=bool(places))
                places.append(where)

        sender.send(None, deployment(founders, quorum, delay), "the new federation", keep)
        return cls.open(providers, places[-1], home, payer, patience)

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
        return self._floors.held(self._domain, self._reader.snapshot)

    def events(self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None) -> list[Event]:
        """The final events by the word of one node, oldest first; of one name and about one digest where given."""
        return self._reader.events(name, subject, build)

    def settle(self) -> None:
        """Return when what an earlier process sent from this home, and did not see final, is final."""
        _sender(self._provider, self._home, self._payer, self._patience).settle()

    def submit(self, call: bytes, what: str) -> Receipt:
        """Simulate a call to the contract, send it, and return once its block is final.

        ActionError, about `what`, when the contract turns it down; ChainError when the node does, or it is not final
        in time: then the same call, repeated by whatever process, goes on waiting, and is done and paid once.
        """
        self.snapshot()
        sender = _sender(self._provider, self._home, self._payer, self._patience)
        receipt = sender.send(self._domain.contract, call, what)
        number = int(receipt["blockNumber"])
        with sender.node.asked() as eth:
            seconds = int(eth.get_block(number)["timestamp"])
        self._await(number, what)
        if self._floors is not None:
            # what was done here was seen, too
            self.snapshot()
        return Receipt(number, seconds, int(receipt["gasUsed"]))

    def _await(self, number: int, what: str) -> None:
        """Return when enough nodes hold the block to be final too: who reads next then finds what was done."""
        end = time.monotonic() + self._patience
        while self._reader.snapshot().block < number:
            if time.monotonic() > end:
                raise ChainError(f"{what} is done in block {number}, which too few of the nodes hold to be final yet")
            time.sleep(0.5)


def _sender(provider: Provider, home: Home, payer: Payer, patience: float) -> Sender:
    from graphopt_governance.chains.outbox import Outbox
    from graphopt_governance.chains.rpc_node import Node
    from graphopt_governance.chains.rpc_sending import Sender

    return Sender(Node(provider), Outbox(home.folder), payer, patience)
