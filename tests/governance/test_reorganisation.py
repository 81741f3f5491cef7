"""A chain that turns back: what it undoes is sent again, and what was seen of it is not unlearnt."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from hexbytes import HexBytes
from web3 import Web3

from graphopt.bundle import read_manifest
from graphopt_governance import actions
from graphopt_governance.chains import rpc, rpc_endpoint
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.chains.outbox import Outbox
from graphopt_governance.chains.rpc_agreement import Agreement
from graphopt_governance.chains.rpc_nodes import Nodes
from graphopt_governance.chains.rpc_sending import Payer, Sender
from graphopt_governance.chains.where import read_where
from graphopt_governance.errors import ChainError
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key

from .anvil_node import AnvilNode, Node, height, more_blocks, snapshot, turn_back
from .conftest import NODES, fresh_node, make_bundle
from .ethereum_node import fund

DAY = 86400.0


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch) -> Generator[Node]:
    """A node where the home's member has funds."""
    with fresh_node(request.param, request) as node:

        def provider_at(url: str) -> Node:
            return node

        def sender(agreement: Agreement, home: Home, payer: Payer, patience: float) -> Sender:
            return Sender(Nodes(agreement), Outbox(home.folder), payer, 60 if patience > 60 else patience, pause=0.05)

        monkeypatch.setenv("GRAPHOPT_CHAIN", "http://node.invalid:8545")
        monkeypatch.setattr(rpc_endpoint, "provider_at", provider_at)
        monkeypatch.setattr(rpc, "_sender", sender)
        fund(node, load_member_key(home.member_key).account)
        yield node


@pytest.fixture
def anchored(node: Node, bundle: Path) -> Path:
    actions.sign(bundle)
    actions.anchor(bundle, "digits")
    return bundle


def hold_back_finality(node: Node) -> None:
    """From now on what is sent comes into a block and is not final."""
    if isinstance(node, AnvilNode):
        node.makes_final = False
    else:
        node.finalized = height(node)


def let_be_final(node: Node) -> None:
    node.finalized = None
    if isinstance(node, AnvilNode):
        node.makes_final = True


def undo_what_is_sent_first(node: Node) -> list[bytes]:
    """Turn the chain back as soon as what is sent next is in a block; what is sent after that becomes final.

    The list is of all that is sent.
    """
    hold_back_finality(node)
    before = snapshot(node)
    start, sent = height(node), list[bytes]()
    undone: list[int] = []

    def watch(method: str, params: Any) -> None:
        if method == "eth_sendRawTransaction":
            sent.append(bytes(HexBytes(params[0])))
            if undone:
                let_be_final(node)
        if method == "eth_getTransactionReceipt" and sent and not undone:
            assert height(node) == start + 1
            undone.append(1)
            turn_back(node, before)
            # another block in its place
            more_blocks(node, 1)

    node.before = watch
    return sent


def transactions(node: Node, home: Home) -> int:
    return Web3(node).eth.get_transaction_count(Web3.to_checksum_address(load_member_key(home.member_key).account))


def revocations(bundle: Path) -> int:
    chain = open_chain(Home.default())
    assert chain is not None
    return len(chain.events("Revoked", read_manifest(bundle).digest))


# --- what was sent and is undone -------------------------------------------------------------------------------------


def test_a_transaction_that_is_undone_while_it_is_waited_for_is_sent_again(anchored: Path, node: Node, home: Home):
    paid = transactions(node, home)
    sent = undo_what_is_sent_first(node)
    withdrawn = actions.revoke(anchored, "wrong")
    assert len(sent) == 2
    assert sent[0] == sent[1], "the same bytes: whichever history wins, it is done once"
    assert (revocations(anchored), transactions(node, home)) == (1, paid + 1)
    verdict = actions.verify(anchored)
    assert verdict.exit_code == 15
    assert f"in block {withdrawn.block} (" in verdict.sentence


def test_a_federation_whose_founding_is_undone_is_founded_again_once(bundle: Path, node: Node, home: Home):
    actions.sign(bundle)
    sent = undo_what_is_sent_first(node)
    assert actions.anchor(bundle, "digits").version == 1
    assert sent[0] == sent[1]
    assert len(sent) == 3
    assert actions.verify(bundle).approved
    where = read_where(home)
    assert where is not None
    # where it stands after all, not where it stood at first
    digest = Web3.keccak(sent[0])
    assert where.first_block == Web3(node).eth.get_transaction_receipt(digest)["blockNumber"]


def killed_in_a_block(node: Node, do: Callable[[], object]) -> None:
    """Let the process die when what `do` sends is in a block that is not final, and undo that block."""
    hold_back_finality(node)
    before, start = snapshot(node), height(node)

    def die(method: str, params: Any) -> None:
        if method == "eth_getTransactionReceipt" and height(node) > start:
            raise KeyboardInterrupt

    node.before = die
    with pytest.raises(KeyboardInterrupt):
        do()
    node.before = None
    assert height(node) == start + 1
    turn_back(node, before)
    more_blocks(node, 1)
    let_be_final(node)


def test_who_died_before_it_was_undone_has_it_sent_again_by_the_same_command(anchored: Path, node: Node, home: Home):
    paid = transactions(node, home)
    killed_in_a_block(node, lambda: actions.revoke(anchored, "wrong"))
    assert transactions(node, home) == paid, "it is undone"
    actions.revoke(anchored, "wrong")
    assert (revocations(anchored), transactions(node, home)) == (1, paid + 1)


def test_what_was_undone_is_sent_again_by_whatever_command_sends_next(anchored: Path, node: Node, home: Home):
    other = make_bundle(anchored.parent / "other", "cd" * 32)
    actions.sign(other)
    paid = transactions(node, home)
    killed_in_a_block(node, lambda: actions.revoke(anchored, "wrong"))
    actions.anchor(other)
    assert (revocations(anchored), transactions(node, home)) == (1, paid + 2)
    assert (actions.verify(anchored).exit_code, actions.verify(other).exit_code) == (15, 0)


def test_what_was_held_to_be_final_and_is_undone_is_done_again_when_the_home_forgets_it_and_it_is_repeated(
    anchored: Path, node: Node, home: Home
):
    before, paid = snapshot(node), transactions(node, home)
    actions.revoke(anchored, "wrong")
    turn_back(node, before)
    assert (revocations(anchored), transactions(node, home)) == (0, paid)
    # a chain whose final block is gone is none to send to, until somebody says that it is
    with pytest.raises(ChainError, match=r"went back: .* remove .*floor-"):
        actions.revoke(anchored, "wrong")
    (floor,) = home.proofs.glob("floor-*.json")
    floor.unlink()
    actions.revoke(anchored, "wrong")
    assert (revocations(anchored), transactions(node, home)) == (1, paid + 1)


def test_an_approval_that_is_undone_before_it_was_final_never_counted(anchored: Path, node: Node):
    other = make_bundle(anchored.parent / "other", "cd" * 32)
    actions.sign(other)
    before = snapshot(node)
    hold_back_finality(node)
    codes: list[int] = []

    def look(method: str, params: Any) -> None:
        if method == "eth_getTransactionReceipt":
            node.before = None
            codes.append(actions.verify(other).exit_code)
            raise KeyboardInterrupt

    node.before = look
    with pytest.raises(KeyboardInterrupt):
        actions.anchor(other)
    turn_back(node, before)
    let_be_final(node)
    more_blocks(node, 4)
    codes.append(actions.verify(other).exit_code)
    assert codes == [14, 14]


# --- what was seen and is undone -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("longer", "sentence"),
    [
        (-1, "the chain went back: this home has seen block"),
        (0, "the chain was rewritten: block"),
        (6, "the chain went back: as of block .* has changed 1 times"),
    ],
    ids=["shorter", "as long", "longer"],
)
def test_a_history_without_the_revocation_that_was_seen_is_refused(
    anchored: Path, node: Node, home: Home, longer: int, sentence: str
):
    kept = home.proofs / f"{read_manifest(anchored).digest.hex()}.json"
    assert actions.verify(anchored).approved
    approved = kept.read_bytes()
    before = snapshot(node)
    actions.revoke(anchored, "wrong")
    assert actions.verify(anchored).exit_code == 15
    gone = height(node)
    turn_back(node, before)
    more_blocks(node, gone - height(node) + longer)
    with pytest.raises(ChainError, match=sentence):
        actions.verify(anchored)
    with pytest.raises(ChainError, match=sentence):
        ChainGate.default(home).admit(read_manifest(anchored))
    with pytest.raises(ChainError, match=sentence):
        # it answers: what was kept does not stand in for a chain that contradicts it
        actions.verify(anchored, max_age=DAY)
    assert actions.verify(anchored, offline=True, max_age=DAY).exit_code == 15
    kept.write_bytes(approved)
    with pytest.raises(ChainError, match="the kept proof went back"):
        actions.verify(anchored, offline=True, max_age=DAY)


def test_a_history_without_the_approval_that_was_seen_is_refused_and_approves_nothing(
    anchored: Path, node: Node, home: Home
):
    other = make_bundle(anchored.parent / "other", "cd" * 32)
    actions.sign(other)
    before = snapshot(node)
    actions.anchor(other, "digits")
    assert actions.verify(other).approved
    assert actions.verify(anchored).exit_code == 17
    turn_back(node, before)
    more_blocks(node, 9)
    for bundle in (other, anchored):
        # the version that was superseded is not current again either
        with pytest.raises(ChainError, match=r"the chain (went back|was rewritten)"):
            actions.verify(bundle, max_age=DAY)
