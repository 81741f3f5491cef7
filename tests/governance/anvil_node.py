"""A node of anvil's whose blocks come when the test wants them, in the place of `InProcessNode`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from web3 import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from .ethereum_node import InProcessNode, anvil

OPTIONS = ("--hardfork", "prague", "--slots-in-an-epoch", "1", "--preserve-historical-states")
"""A block for each transaction, at once, and final when two more are there."""


class AnvilNode(HTTPProvider):
    """Anvil, which makes the two blocks that it takes to make one final whenever something is sent."""

    finalized: int | None = None
    """The finalized block; anvil's when it is None."""
    before: Callable[[str, Any], None] | None = None
    """Told of each request before it is answered."""
    makes_final = True
    """Whether what is sent is final at once."""

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Anvil's answer."""
        if self.before is not None:
            self.before(method, params)
        if self.finalized is not None and method == "eth_getBlockByNumber" and params[0] == "finalized":
            params = [hex(self.finalized), *params[1:]]
        answer = super().make_request(method, params)
        if self.makes_final and method == "eth_sendRawTransaction":
            more_blocks(self, 2)
        return answer


Node = InProcessNode | AnvilNode
"""A real chain's node, which tests can stop, turn back and let go on."""


@contextmanager
def anvil_node() -> Generator[AnvilNode]:
    """A running anvil that makes blocks when it is told; the test is skipped where there is none."""
    with anvil(*OPTIONS) as provider:
        yield AnvilNode(provider.endpoint_uri)


def snapshot(node: Node) -> Any:
    """The chain as it is, to turn back to."""
    return _ask(node, "evm_snapshot")


def turn_back(node: Node, to: Any) -> None:
    """A reorganisation: all blocks since `snapshot` gave `to` are gone, and what was in them too."""
    assert _ask(node, "evm_revert", to) is not False


def more_blocks(node: Node, count: int) -> None:
    """Make so many empty blocks."""
    for _ in range(count):
        _ask(node, "evm_mine")


def height(node: Node) -> int:
    """The newest block."""
    return int(_ask(node, "eth_blockNumber"), 16)


def _ask(node: Node, method: str, *params: Any) -> Any:
    before, node.before = node.before, None
    try:
        if isinstance(node, InProcessNode):
            answer: Any = node.answer_web3(RPCEndpoint(method), [1] if method == "evm_mine" else list(params))
        else:
            answer = node.make_request(RPCEndpoint(method), list(params))
    finally:
        node.before = before
    assert "error" not in answer, answer
    result = answer["result"]
    return hex(result) if method == "eth_blockNumber" and isinstance(result, int) else result
