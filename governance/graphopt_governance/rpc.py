"""A federation on any Ethereum chain, behind a node's RPC: the same `Chain` as the embedded one, through web3.

What is believed: the node's word for the state of its finalized block.  What is not: which chain it serves (its id is
checked), which contract answers (its address is kept in `Home.federation`, its code is hashed at each read), and that
what was sent was done (the receipt is read again once its block is final).  The `rpc` modules alone
import web3, and only an RPC chain loads them: importing web3 takes longer than a whole verification on the embedded
chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from web3.providers import BaseProvider

from graphopt_governance.action import Domain
from graphopt_governance.chain import Receipt, Snapshot
from graphopt_governance.contract import Event, Founder, deployment
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.outbox import Outbox
from graphopt_governance.rpc_node import Node
from graphopt_governance.rpc_reading import Reader
from graphopt_governance.rpc_sending import PATIENCE_SECONDS, Payer, Sender
from graphopt_governance.where import Where


class RpcChain:
    """A federation behind a node; `RpcChain.open` and `RpcChain.found` make one.

    `patience`: how many seconds `submit` waits for what it sent to be final (on Ethereum that takes some 15 minutes).
    """

    def __init__(
        self,
        provider: BaseProvider,
        domain: Domain,
        first_block: int,
        outbox: Outbox,
        payer: Payer,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._node = Node(provider)
        self._node.check_chain(domain.chain_id)
        self._domain = domain
        self._reader = Reader(self._node, domain, first_block)
        self._sender = Sender(self._node, outbox, payer, patience)

    @classmethod
    def open(
        cls,
        providers: Sequence[BaseProvider],
        where: Where,
        home: Home,
        payer: Payer,
        patience: float = PATIENCE_SECONDS,
    ) -> RpcChain:
        """The federation that `where` names, behind these nodes; ChainError when they serve another chain."""
        return cls(providers[0], where.domain, where.first_block, Outbox(home.folder), payer, patience)

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
        patience: float = PATIENCE_SECONDS,
    ) -> RpcChain:
        """Deploy a federation of `founders`, keep where it is in `home.federation`, and wait until it is final.

        The federation is from then on reached by the URLs that `home.chain` names.
        """
        if home.federation.exists():
            raise ChainError(f"{home.federation} names a federation already")
        node = Node(provider)
        chain_id = node.chain_id
        places: list[Where] = []

        def keep(receipt: Mapping[str, Any]) -> None:
            # before it is final: that takes long, and who stops waiting must not pay for a second one
            contract = bytes.fromhex(str(receipt["contractAddress"])[2:])
            where = Where(Domain(chain_id, contract), int(receipt["blockNumber"])).reached_by(home.endpoints)
            if int(receipt["status"]) == 1 and where not in places[-1:]:
                where.write(home, instead=bool(places))
                places.append(where)

        code = deployment(founders, quorum, delay)
        Sender(node, Outbox(home.folder), payer, patience).send(None, code, "the new federation", keep)
        return cls.open([provider], places[-1], home, payer, patience)

    @property
    def domain(self) -> Domain:
        """Where this federation's signatures hold."""
        return self._domain

    @property
    def basis(self) -> str:
        """What a reading rests on, in words."""
        return self._reader.basis

    def snapshot(self) -> Snapshot:
        """The contract as of the finalized block; ChainError when the code at its address is not the federation's."""
        return self._reader.snapshot()

    def events(self, name: str | None = None, subject: bytes | None = None) -> list[Event]:
        """The contract's final events, oldest first; of one name and about one digest where given."""
        return self._reader.events(name, subject)

    def settle(self) -> None:
        """Return when what an earlier process sent from this home, and did not see final, is final."""
        self._sender.settle()

    def submit(self, call: bytes, what: str) -> Receipt:
        """Simulate a call to the contract, send it, and return once its block is final.

        ActionError, about `what`, when the contract turns it down; ChainError when the node does, or it is not final
        in time: then the same call, repeated by whatever process, goes on waiting, and is done and paid once.
        """
        self.snapshot()
        receipt = self._sender.send(self._domain.contract, call, what)
        number = int(receipt["blockNumber"])
        with self._node.asked() as eth:
            seconds = int(eth.get_block(number)["timestamp"])
        return Receipt(number, seconds, int(receipt["gasUsed"]))
