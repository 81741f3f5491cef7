"""web3 spells what sending asks, and that alone reaches a node; what comes back is an answer, or one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st
from web3 import Web3
from web3.eth import Eth
from web3.types import TxParams, Wei

from graphopt_governance.chains.rpc_endpoint import Endpoint, RefusedByNodeError
from graphopt_governance.chains.rpc_web3 import asked
from graphopt_governance.errors import ChainError

ACCOUNT = Web3.to_checksum_address(bytes(range(20)))
CALL: TxParams = {"from": ACCOUNT, "to": ACCOUNT, "data": Web3.to_bytes(text="call"), "value": Wei(0)}
_CALL = {"from": ACCOUNT, "to": ACCOUNT, "data": "0x63616c6c", "value": "0x0"}
_HASH = "0x" + "11" * 32

QUESTIONS: dict[str, tuple[Callable[[Eth], object], list[object]]] = {
    "eth_blockNumber": (lambda eth: eth.block_number, []),
    "eth_getBlockByNumber": (lambda eth: eth.get_block("latest"), ["latest", False]),
    "eth_gasPrice": (lambda eth: eth.gas_price, []),
    "eth_maxPriorityFeePerGas": (lambda eth: eth.max_priority_fee, []),
    "eth_getBalance": (lambda eth: eth.get_balance(ACCOUNT), [ACCOUNT, "latest"]),
    "eth_getTransactionCount": (lambda eth: eth.get_transaction_count(ACCOUNT, "pending"), [ACCOUNT, "pending"]),
    "eth_call": (lambda eth: eth.call(CALL), [_CALL, "latest"]),
    "eth_estimateGas": (lambda eth: eth.estimate_gas(CALL), [_CALL, "latest"]),
    "eth_sendRawTransaction": (lambda eth: eth.send_raw_transaction(b"signed"), ["0x7369676e6564"]),
    "eth_getTransactionReceipt": (lambda eth: eth.get_transaction_receipt(Web3.to_bytes(hexstr=_HASH)), [_HASH]),  # pyright: ignore
    "eth_getTransactionByHash": (lambda eth: eth.get_transaction(Web3.to_bytes(hexstr=_HASH)), [_HASH]),  # pyright: ignore
}


class Node:
    """A node that gives one answer, and remembers what it was asked."""

    endpoint_uri = "http://node.invalid:8545"

    def __init__(self, **answer: Any) -> None:
        self._answer = answer
        self.asked: list[tuple[str, Any]] = []

    def make_request(self, method: Any, params: Any) -> Any:
        self.asked.append((method, json.loads(json.dumps(params))))
        return {"jsonrpc": "2.0", "id": 1} | self._answer


@pytest.mark.parametrize("method", QUESTIONS)
def test_one_question_is_asked_as_nodes_are_asked(method: str):
    question, params = QUESTIONS[method]
    node = Node(error={"code": -32000, "message": "no"})
    with pytest.raises(RefusedByNodeError, match="refused: no"):
        asked(Endpoint(node), question)
    assert node.asked == [(method, params)]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
scalars |= st.sampled_from(["0x", "0x1", "0xzz", "-0x1", _HASH])
names = st.sampled_from(
    ["blockNumber", "blockHash", "status", "gasUsed", "logs", "baseFeePerGas", "hash", "type", "to"]
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner), max_leaves=8)


@given(st.sampled_from(sorted(QUESTIONS)), values)
def test_whatever_a_node_answers_is_an_answer_or_one_sentence(method: str, value: Any):
    with suppress(ChainError):
        asked(Endpoint(Node(result=value)), QUESTIONS[method][0])


def test_a_contract_has_nobody_asked():
    """EIP-3668: what a call was turned down with may name URLs, which web3 would ask."""
    lookup = encode(
        ["address", "string[]", "bytes", "bytes4", "bytes"],
        [ACCOUNT, ["https://elsewhere.invalid/"], b"", b"back", b""],
    )
    node = Node(error={"code": 3, "message": "execution reverted", "data": "0x556f1830" + lookup.hex()})
    with pytest.raises(RefusedByNodeError, match="execution reverted"):
        asked(Endpoint(node), QUESTIONS["eth_call"][0])
    assert [method for method, _ in node.asked] == ["eth_call"]
