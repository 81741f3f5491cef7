"""An Ethereum node asked through web3, with one sentence for whatever goes wrong: sending stands on it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from web3 import HTTPProvider, Web3
from web3.exceptions import BlockNotFound, ContractLogicError, Web3Exception, Web3RPCError
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers import BaseProvider

from graphopt_governance.chains.rpc_endpoint import Provider
from graphopt_governance.errors import ChainError

_TIMEOUT_SECONDS = 20


class Node:
    """The node that `provider` reaches; `name` is its host and port, without what may be a secret."""

    def __init__(self, provider: Provider) -> None:
        if not isinstance(provider, BaseProvider):
            url = str(getattr(provider, "endpoint_uri", ""))
            provider = HTTPProvider(url, request_kwargs={"timeout": _TIMEOUT_SECONDS})
        web3 = Web3(provider)
        # chains with named block makers keep more in a header than Ethereum does
        web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        # web3's types are of literals and aliases that carry nothing here
        self._eth: Any = web3.eth
        # no path: that is where a key for a hosted node would be
        url = urlsplit(str(getattr(provider, "endpoint_uri", "")))
        port = f":{url.port}" if url.port else ""
        self.name = f"{url.hostname}{port}" if url.hostname else "hand"

    @contextmanager
    def asked(self) -> Generator[Any]:
        """web3's `eth` for the block; whatever it raises becomes a ChainError, and a revert stays what it is."""
        try:
            yield self._eth
        except ContractLogicError:
            raise
        except Web3RPCError as error:
            raise ChainError(f"the node at {self.name} refused: {_message(error)}") from error
        except (OSError, TimeoutError) as error:
            # requests' exceptions are OSErrors
            status = getattr(getattr(error, "response", None), "status_code", None)
            why = "" if status is None else f" (HTTP status {status})"
            raise ChainError(f"the node at {self.name} does not answer{why}; nothing is approved unasked") from error
        except (Web3Exception, ValueError, KeyError, TypeError) as error:
            raise ChainError(f"what answers at {self.name} is no Ethereum node, or answers wrongly") from error

    @property
    def chain_id(self) -> int:
        """Which chain the node says it serves."""
        with self.asked() as eth:
            return int(eth.chain_id)

    def check_chain(self, wanted: int) -> None:
        """ChainError when the node serves another chain."""
        if (served := self.chain_id) != wanted:
            raise ChainError(f"the node at {self.name} serves chain {served}; the federation is on chain {wanted}")

    def newest(self) -> tuple[str, int, int]:
        """The newest block that counts: by which tag, its number, its time."""
        with self.asked() as eth:
            try:
                tag, block = "finalized", eth.get_block("finalized")
            except Web3RPCError as error:
                if not _says_no_such_block(error):
                    raise
                # a chain without finality, or a node that has not seen any yet
                tag, block = "latest", eth.get_block("latest")
            return tag, int(block["number"]), int(block["timestamp"])


def _says_no_such_block(error: Web3RPCError) -> bool:
    # invalid parameters, or the Engine API's unknown block; a busy node must not pass for one without finality
    detail: Any = (error.rpc_response or {}).get("error")
    code = detail.get("code") if isinstance(detail, dict) else None
    text = _message(error).lower()
    return (
        isinstance(error, BlockNotFound) or code in (-32602, -39001) or "finalized" in text or "unknown block" in text
    )


def _message(error: Web3RPCError) -> str:
    response: Any = error.rpc_response or {}
    detail = response.get("error")
    text = detail.get("message") if isinstance(detail, dict) else None
    return str(text or error)
