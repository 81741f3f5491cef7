"""A node as web3 asks it, for who sends: web3 spells the question and reads the answer, an `Endpoint` carries them.

So what holds for reading holds here too: no redirect is followed, no answer is longer or later than is allowed, and
each failure is an error of ours.  Importing web3 takes longer than verifying a bundle; who reads does without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from web3 import Web3
from web3.eth import Eth
from web3.exceptions import TransactionNotFound
from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from graphopt_governance.chains.rpc_endpoint import Endpoint
from graphopt_governance.errors import ChainError

_T = TypeVar("_T")


class Carrier(BaseProvider):
    """What web3 takes for a node; `endpoint` is asked, and what it refuses is raised as its error."""

    # a contract that turns a call down can name URLs for web3 to ask
    global_ccip_read_enabled = False

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """The node's result; ChainError as `Endpoint.ask`."""
        return {"jsonrpc": "2.0", "id": 1, "result": self._endpoint.ask(method, *params)}


def asked(endpoint: Endpoint, question: Callable[[Eth], _T]) -> _T | None:
    """What web3 makes of a node's answer; None for a transaction that it does not have, ChainError for no answer."""
    # no middleware: nothing is asked but what is asked for
    web3 = Web3(Carrier(endpoint), middleware=[])
    try:
        return question(web3.eth)
    except ChainError:
        raise
    except TransactionNotFound:
        return None
    except Exception as error:
        # an answer of another form breaks web3's reading of it wherever that may be
        raise endpoint.answers_wrongly() from error
