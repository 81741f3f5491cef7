"""A federation on any Ethereum chain, behind its nodes' RPC: the same `Chain` as the embedded one.

Reading (`rpc_reading`) believes a header that enough nodes agree on, and nothing else that they say.  Sending
(`rpc_sending`) goes through the first node, and believes what was done when it is final.  Only what sends imports web3,
and only when it sends: importing that takes longer than a whole verification.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphopt_governance.action import Domain
from graphopt_governance.chain import Receipt, Snapshot
from graphopt_governance.contract import Event, Founder, deployment
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.rpc_agreement import Agreement
from graphopt_governance.rpc_endpoint import Endpoint, Provider
from graphopt_governance.rpc_reading import Reader
from graphopt_governance.where import Where

if TYPE_CHECKING:
    from graphopt_governance.rpc_node import Node
    from graphopt_governance.rpc_sending import Payer, Sender


class RpcChain:
    """The federation that `where` names, behind nodes; `RpcChain.found` makes a new one.

    `where.agree` of `providers` must give a header alike before it is believed; what is sent goes through the first.
    `patience`: how many seconds `submit` waits for what it sent to be final, on Ethereum some 15 minutes; None is half
    an hour.  Nothing is asked before something is read.
    """

    def __init__(
        self, providers: Sequence[Provider], where: Where, payer: Payer, patience: float | None = None
    ) -> None:
        self._domain = where.domain
        self._provider, self._payer, self._patience = providers[0], payer, patience
        endpoints = [Endpoint(provider) for provider in providers]
        agreement = Agreement(endpoints, where.agree, where.domain.chain_id, where.checkpoint)
        self._reader = Reader(endpoints, agreement, where.domain, where.first_block)

    @classmethod
    def open(cls, providers: Sequence[Provider], where: Where, payer: Payer, patience: float | None = None) -> RpcChain:
        """The federation that `where` names, behind these nodes."""
        return cls(providers, where, payer, patience)

    @classmethod
    def found(
        cls,
        provider: Provider,
        home: Home,
        founders: Sequence[Founder],
        payer: Payer,
        *,
        quorum: int = 1,
        delay: int = 0,
        patience: float | None = None,
    ) -> RpcChain:
        """Deploy a federation of `founders`, keep where it is in `home.federation`, and wait until it is final.

        The federation is from then on reached by the URLs that `home.chain` names.
        """
        if home.federation.exists():
            raise ChainError(f"{home.federation} names a federation already")
        what = "the new federation"
        sender, node = _sending(provider, payer, patience)
        sent = sender.send(node.chain_id, None, deployment(founders, quorum, delay), what)
        # kept before it is final: that takes long, and who stops waiting must not pay for a second one
        receipt = sender.receipt(sent, what, final=False)
        contract = bytes.fromhex(str(receipt["contractAddress"])[2:])
        where = Where(Domain(node.chain_id, contract), int(receipt["blockNumber"])).reached_by(home.endpoints)
        where.write(home)
        sender.receipt(sent, what)
        return cls([provider], where, payer, patience)

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
        return self._reader.snapshot()

    def events(self, name: str | None = None, subject: bytes | None = None) -> list[Event]:
        """The final events by the word of one node, oldest first; of one name and about one digest where given."""
        return self._reader.events(name, subject)

    def submit(self, call: bytes, what: str) -> Receipt:
        """Simulate a call to the contract, send it, and return once its block is final.

        ActionError, about `what`, when the contract turns it down; ChainError when the node does, or it is not final
        in time: then it may still be done later.
        """
        self.snapshot()
        sender, node = _sending(self._provider, self._payer, self._patience)
        sent = sender.send(self._domain.chain_id, self._domain.contract, call, what)
        receipt = sender.receipt(sent, what)
        number = int(receipt["blockNumber"])
        with node.asked() as eth:
            seconds = int(eth.get_block(number)["timestamp"])
        return Receipt(number, seconds, int(receipt["gasUsed"]))


def _sending(provider: Provider, payer: Payer, patience: float | None) -> tuple[Sender, Node]:
    from graphopt_governance.rpc_node import Node
    from graphopt_governance.rpc_sending import PATIENCE_SECONDS, Sender

    node = Node(provider)
    return Sender(node, payer, PATIENCE_SECONDS if patience is None else patience), node
