"""What was done is believed when it is proven: one dishonest node of three founds, undoes and hides nothing."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eth_hash.auto import keccak
from web3 import Web3

from graphopt_governance import actions
from graphopt_governance.chains import rpc, rpc_endpoint
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.chains.outbox import Outbox
from graphopt_governance.chains.rpc_agreement import Agreement
from graphopt_governance.chains.rpc_nodes import Nodes as Asked
from graphopt_governance.chains.rpc_sending import Payer, Sender
from graphopt_governance.chains.transaction import Transaction, created_address
from graphopt_governance.chains.where import read_where
from graphopt_governance.decide.founding import Charter, found_federation
from graphopt_governance.decide.governing import standing
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.exchange.cards import make_card
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.protocol.action import ALL_RIGHTS
from graphopt_governance.protocol.contract import Founder, deployed, deployment

from .anvil_node import snapshot, turn_back
from .conftest import make_bundle
from .ethereum_node import InProcessNode, fund
from .federation import key
from .lying_nodes import Answer, Named, Nodes, OneAtATime, dead, honest, slow

PATIENCE = 20.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[InProcessNode, Path]:
    """A chain on which a bundle is anchored, and the folder with it and the home that anchored it."""
    node, folder = InProcessNode(), tmp_path_factory.mktemp("world")
    home = Home(folder / "home", "http://node.invalid:8545")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rpc_endpoint, "provider_at", lambda _: node)
        fund(node, load_member_key(home.member_key).account)
        actions.sign(make_bundle(folder / "bundle"), home)
        actions.anchor(folder / "bundle", "digits", home=home)
    return node, folder


@pytest.fixture
def node(world: tuple[InProcessNode, Path]) -> Generator[InProcessNode]:
    """The chain, whose blocks of this test are gone afterwards."""
    node = world[0]
    start = snapshot(node)
    yield node
    turn_back(node, start)


@pytest.fixture
def before(node: InProcessNode, home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Nodes]:
    """Puts three nodes before the chain, of which the first answers as it is told to; two must agree."""
    behind = OneAtATime(node)
    now: list[Nodes] = []
    monkeypatch.setattr(rpc_endpoint, "provider_at", lambda url: now[-1].at(url))

    def sender(agreement: Agreement, home: Home, payer: Payer, patience: float) -> Sender:
        return Sender(Asked(agreement), Outbox(home.folder), payer, PATIENCE, pause=0.05)

    monkeypatch.setattr(rpc, "_sender", sender)

    def put(answer: Answer = honest, *others: Answer) -> Nodes:
        two, three = others or (honest, honest)
        now.append(Nodes(Named(behind, "one", answer), Named(behind, "two", two), Named(behind, "three", three)))
        monkeypatch.setenv("GRAPHOPT_CHAIN", now[-1].urls)
        return now[-1]

    return put


@pytest.fixture
def anchored(before: Callable[..., Nodes], world: tuple[InProcessNode, Path], home: Home) -> Path:
    """The bundle, and a copy of the home that anchored it."""
    shutil.copytree(world[1] / "home", home.folder)
    before()
    return world[1] / "bundle"


# --- founding --------------------------------------------------------------------------------------------------------


def founding_its_own(node: InProcessNode) -> Answer:
    """A node that deploys a federation of its own besides, with its key and a quorum of one, and names that instead."""
    theirs: list[str] = []

    def answer(method: str, params: Any, ask: Callable[[], Any]) -> Any:
        told = ask()
        if method == "eth_sendRawTransaction" and not theirs:
            founders, _, _ = deployed(Transaction.decode(bytes.fromhex(params[0][2:])).data)
            mine = Founder(key(9).account, ALL_RIGHTS, keccak(b"mine"))
            web3 = Web3(node)
            code = deployment([*founders, mine], 1, 0)
            sent = web3.eth.send_transaction({"from": web3.eth.accounts[0], "data": Web3.to_hex(code)})
            theirs.append(str(web3.eth.wait_for_transaction_receipt(sent)["contractAddress"]))
        if method == "eth_getTransactionReceipt" and theirs and told.get("result"):
            told["result"]["contractAddress"] = theirs[0]
        return told

    return answer


def test_a_node_that_founds_its_own_federation_is_not_followed(
    before: Callable[..., Nodes], node: InProcessNode, home: Home, tmp_path: Path
):
    nodes = before(founding_its_own(node))
    homes = [Home(tmp_path / name, nodes.urls) for name in ("north", "east")]
    cards = tuple(make_card(member) for member in homes)
    fund(node, cards[0].account)
    chain = found_federation(homes[0], Charter(cards, 2))
    assert chain.domain.contract == created_address(cards[0].account, 0)
    now = standing(chain)
    assert (now.quorum, [member.account for member in now.members]) == (2, [card.account for card in cards])
    where = read_where(homes[0])
    assert where is not None
    assert where.domain == chain.domain


def in_block_one(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    """A node that has all that was sent in block 1, done, whatever it was."""
    told = ask()
    if method == "eth_getTransactionReceipt":
        digest = "0x" + "ab" * 32
        return {"result": {"blockNumber": "0x1", "blockHash": digest, "status": "0x1", "gasUsed": "0x5208"}}
    return told


@pytest.mark.parametrize("lie", [in_block_one, dead, slow(30)], ids=["made up", "dead", "slow"])
def test_the_first_block_is_not_one_nodes_word(
    lie: Answer, before: Callable[..., Nodes], node: InProcessNode, home: Home, bundle: Path
):
    before(lie)
    fund(node, load_member_key(home.member_key).account)
    actions.sign(bundle)
    started = time.monotonic()
    actions.anchor(bundle)
    where = read_where(home)
    assert where is not None
    assert where.first_block == Web3(node).eth.block_number - 1
    assert time.monotonic() - started < 25


def test_another_chains_id_is_not_signed_for(
    before: Callable[..., Nodes], node: InProcessNode, home: Home, bundle: Path
):
    before(lambda method, _, ask: {"result": "0x5"} if method == "eth_chainId" else ask())
    fund(node, load_member_key(home.member_key).account)
    actions.sign(bundle)
    assert actions.anchor(bundle).chain == Web3(node).eth.chain_id


# --- sending ---------------------------------------------------------------------------------------------------------


def keeping_it(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    """A node that sends nothing on, and says that it is done."""
    if method == "eth_sendRawTransaction":
        return {"result": "0x" + "ab" * 32}
    if method == "eth_getTransactionByHash":
        return {"result": {"hash": params[0]}}
    return in_block_one(method, params, ask)


def failed(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    told = keeping_it(method, params, ask)
    if method == "eth_getTransactionReceipt":
        told["result"]["status"] = "0x0"
    return told


def turning_down(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    if method in ("eth_call", "eth_estimateGas"):
        return {"error": {"code": 3, "message": "execution reverted: revoked already"}}
    return ask()


def demanding(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    """A node that would have everything cost a fortune."""
    if method in ("eth_maxPriorityFeePerGas", "eth_gasPrice", "eth_estimateGas"):
        return {"result": hex(10**14)}
    if method == "eth_getBlockByNumber" and params[0] == "latest":
        told = ask()
        told["result"]["baseFeePerGas"] = hex(10**13)
        return told
    return ask()


def saying(**results: Any) -> Answer:
    """A node that gives these results, by method, and is honest about all else."""
    return lambda method, _, ask: {"result": results[method]} if method in results else ask()


def refusing(message: str) -> Answer:
    """A node that takes nothing."""

    def answer(method: str, params: Any, ask: Callable[[], Any]) -> Any:
        if method == "eth_sendRawTransaction":
            return {"error": {"code": -32000, "message": message}}
        return ask()

    return answer


LIES = {
    "keeps it and says it is done": keeping_it,
    "says it failed": failed,
    "says it would be turned down": turning_down,
    "asks for a fortune": demanding,
    "a nonce far ahead": saying(eth_getTransactionCount="0x2710"),
    "a nonce far behind": saying(eth_getTransactionCount="0x0"),
    "no balance": saying(eth_getBalance="0x0"),
    "no gas needed": saying(eth_estimateGas="0x1"),
    "no receipt, ever": saying(eth_getTransactionReceipt=None),
    "knows nothing": saying(eth_getTransactionByHash=None, eth_getTransactionReceipt=None),
    "says nonce too low": refusing("nonce too low"),
    "says already known": refusing("already known"),
    "says underpriced": refusing("replacement transaction underpriced"),
    "another chain": saying(eth_chainId="0x5"),
    "no number": saying(eth_blockNumber="much", eth_getBalance=[], eth_estimateGas={}, eth_getTransactionReceipt="x"),
    "dead": dead,
    "slow": slow(30),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_one_dishonest_node_of_three_neither_prevents_nor_pretends_a_revocation(
    lie: Answer, anchored: Path, before: Callable[..., Nodes], node: InProcessNode, home: Home
):
    before(lie)
    paid = Web3(node).eth.get_transaction_count(Web3.to_checksum_address(load_member_key(home.member_key).account))
    started = time.monotonic()
    withdrawn = actions.revoke(anchored, "wrong")
    assert time.monotonic() - started < 20
    assert withdrawn.block == Web3(node).eth.block_number
    before()
    assert actions.verify(anchored).exit_code == 15
    web3: Any = Web3(node)
    mined = web3.eth.get_transaction(web3.eth.get_block("latest")["transactions"][0])
    assert (mined["nonce"], mined["chainId"]) == (paid, web3.eth.chain_id)
    assert mined["maxFeePerGas"] < 10 * 10**9


def test_what_too_few_nodes_show_is_told_as_what_it_is(
    anchored: Path, before: Callable[..., Nodes], home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(f"{__name__}.PATIENCE", 0.5)

    def taking_nothing(method: str, params: Any, ask: Callable[[], Any]) -> Any:
        return {"result": "0x" + "ab" * 32} if method == "eth_sendRawTransaction" else ask()

    before(keeping_it, taking_nothing, taking_nothing)
    for _ in range(2):
        # however often it is repeated
        with pytest.raises(
            ChainError, match=r"by the word of one\.invalid:8545 \(block 1\) alone, which 2 of 3 nodes do"
        ):
            actions.revoke(anchored, "wrong")
        left = Outbox(home.folder).load()
        assert left is not None
        assert left.block is None
    monkeypatch.setattr(f"{__name__}.PATIENCE", 20)
    before()
    assert actions.verify(anchored).approved
    actions.revoke(anchored, "wrong")
    assert actions.verify(anchored).exit_code == 15


def test_what_enough_nodes_say_is_turned_down_is_turned_down(anchored: Path, before: Callable[..., Nodes]):
    actions.revoke(anchored, "wrong")
    passing = saying(eth_call="0x", eth_estimateGas="0x5208")
    before(passing)
    with pytest.raises(ActionError, match="revoked already"):
        actions.revoke(anchored, "again")


def test_it_is_sent_through_every_node(anchored: Path, before: Callable[..., Nodes]):
    nodes = before()
    actions.revoke(anchored)
    for url in nodes:
        assert "eth_sendRawTransaction" in [method for method, _ in nodes[url].asked]


def test_an_outbox_that_was_final_is_not_final_for_a_chain_that_does_not_prove_it(
    anchored: Path, before: Callable[..., Nodes], home: Home
):
    outbox = Outbox(home.folder)
    left = outbox.load()
    assert left is not None
    chain = open_chain(Home.default())
    assert chain is not None
    actions.revoke(anchored, "wrong")
    assert left.is_done(chain.snapshot().state) is False, "the approval is not what stands any more"
    assert replace(left, block=None).does(left.to, left.data, lambda: chain.snapshot().state) is False


def test_versions_follow_each_other_past_a_node_that_sends_nothing(
    anchored: Path, before: Callable[..., Nodes], tmp_path: Path
):
    before(keeping_it)
    other = make_bundle(tmp_path / "other", "cd" * 32)
    actions.sign(other)
    assert actions.anchor(other, "digits").version == 2
    assert actions.verify(other).approved
    assert actions.verify(anchored).exit_code == 17
