"""A federation behind a node's RPC: it lives as on the embedded chain, and what a node does wrong has one sentence."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785
from hexbytes import HexBytes
from web3 import Web3
from web3.providers import BaseProvider

from graphopt.bundle import read_manifest
from graphopt_governance import actions
from graphopt_governance.chains import rpc_endpoint
from graphopt_governance.chains.floors import Floors
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.chains.rpc import RpcChain
from graphopt_governance.chains.where import Where, read_where
from graphopt_governance.decide.founding import invitation_to, prepare_to_join
from graphopt_governance.errors import ActionError, ChainError, DocumentError
from graphopt_governance.gate import ChainGate, FederationRefusedError
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import MemberKey, load_member_key
from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.subject import build_key

from .conftest import make_bundle
from .ethereum_node import InProcessNode, answering, anvil, fund

URL = "http://node.invalid:8545/a-secret-key"


@pytest.fixture
def on_node(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that is told by the environment to ask a node, and whose member can pay once he is funded."""
    monkeypatch.setenv("GRAPHOPT_CHAIN", URL)
    return Home.default()


def ask(provider: BaseProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `provider` be the node at every URL."""

    def provider_at(url: str) -> BaseProvider:
        assert url == URL
        return provider

    monkeypatch.setattr(rpc_endpoint, "provider_at", provider_at)


@pytest.fixture
def tester(on_node: Home, monkeypatch: pytest.MonkeyPatch) -> InProcessNode:
    provider = InProcessNode()
    ask(provider, monkeypatch)
    fund(provider, load_member_key(on_node.member_key).account)
    return provider


@pytest.fixture
def real(on_node: Home, monkeypatch: pytest.MonkeyPatch) -> Generator[BaseProvider]:
    with anvil() as provider:
        ask(provider, monkeypatch)
        fund(provider, load_member_key(on_node.member_key).account)
        yield provider


def height(provider: BaseProvider) -> int:
    return Web3(provider).eth.block_number


def impatient(provider: BaseProvider, home: Home) -> RpcChain:
    def payer() -> MemberKey:
        return load_member_key(home.member_key, make=False)

    where = read_where(home)
    assert where is not None
    return RpcChain.open([provider], where, home, payer, patience=0.2)


def rewrite(home: Home, field: str, value: object) -> None:
    """Put `value` in a field of federation.json."""
    document = json.loads(home.federation.read_bytes()) | {field: value}
    home.federation.write_bytes(rfc8785.dumps(document))


def live_through(bundle: Path, home: Home) -> None:
    """Sign, anchor, verify, admit, revoke, refuse."""
    actions.sign(bundle)
    anchored = actions.anchor(bundle, "digits")
    assert (anchored.version, anchored.already) == (1, False)
    assert "finalized block" in anchored.ledger
    again = actions.anchor(bundle, "digits")
    # on a chain whose blocks come by themselves there may be a newer one to rest on
    assert again == replace(anchored, already=True, ledger=again.ledger)
    verdict = actions.verify(bundle)
    assert verdict.approved, verdict.sentence
    assert verdict.facts["anchored_block"] == anchored.block
    assert verdict.facts["anchored_time"] == anchored.block_time
    ChainGate.default().admit(read_manifest(bundle))
    chain, build = open_chain(home), build_key(read_manifest(bundle).predicate)
    assert chain is not None
    assert [event.fields["digest"].hex() for event in chain.events("Anchored", build=build)] == [anchored.digest]
    assert not chain.events("Anchored", build=bytes(32))
    withdrawn = actions.revoke(bundle, "wrong labels")
    verdict = actions.verify(bundle)
    assert verdict.exit_code == 15
    assert f"revoked by the federation in block {withdrawn.block} (" in verdict.sentence
    with pytest.raises(FederationRefusedError, match="wrong labels"):
        ChainGate.default().admit(read_manifest(bundle))
    with pytest.raises(ActionError, match="turned this down: the revocation: revoked already"):
        actions.revoke(bundle)
    assert not home.ledger.exists()
    assert home.federation.stat().st_mode & 0o777 == 0o600


def test_a_bundle_lives_on_any_chain_as_on_the_embedded_one(bundle: Path, on_node: Home, tester: InProcessNode):
    live_through(bundle, on_node)


@pytest.mark.anvil
def test_a_bundle_lives_on_anvil_as_on_the_embedded_chain(bundle: Path, on_node: Home, real: BaseProvider):
    live_through(bundle, on_node)


def test_a_second_federation_is_not_made_over_the_first(bundle: Path, on_node: Home, tester: InProcessNode):
    actions.sign(bundle)
    actions.anchor(bundle)
    with pytest.raises(ChainError, match="names a federation already"):
        RpcChain.found([tester], on_node, [], lambda: load_member_key(on_node.member_key))


def test_what_would_be_turned_down_is_not_sent(bundle: Path, tester: InProcessNode):
    actions.sign(bundle)
    actions.anchor(bundle)
    before = height(tester)
    with pytest.raises(ActionError, match="expired already"):
        make_and_anchor_expired(bundle)
    assert height(tester) == before


def make_and_anchor_expired(bundle: Path) -> None:
    other = make_bundle(bundle.parent / "other", "cd" * 32)
    actions.sign(other)
    actions.anchor(other, expires=1)


def test_what_passed_when_simulated_and_failed_in_its_block_is_not_taken_for_done(bundle: Path, tester: InProcessNode):
    actions.sign(bundle)
    actions.anchor(bundle)
    actions.revoke(bundle)
    tester.simulates = False
    with pytest.raises(ActionError, match="passed when simulated and failed in block"):
        # for another reason: the same again would be taken for the same, which is done
        actions.revoke(bundle, "again")


def test_only_what_is_final_counts(bundle: Path, on_node: Home, tester: InProcessNode, monkeypatch: pytest.MonkeyPatch):
    actions.sign(bundle)
    actions.anchor(bundle)
    tester.finalized = height(tester)
    before = actions.verify(bundle)
    chain = impatient(tester, on_node)
    digest = read_manifest(bundle).digest
    monkeypatch.setattr(actions, "open_chain", lambda *_: chain)
    with pytest.raises(ChainError, match="is not final after 0 s; repeat this to go on waiting"):
        actions.revoke(bundle)
    assert height(tester) == tester.finalized + 1
    assert actions.verify(bundle) == before
    assert not chain.events("Revoked", digest)
    tester.finalized = None
    assert actions.verify(bundle).exit_code == 15


def test_a_busy_node_does_not_pass_for_one_without_finality(bundle: Path, tester: InProcessNode):
    actions.sign(bundle)
    actions.anchor(bundle)
    tester.no_finality = (-32005, "limit exceeded")
    with pytest.raises(ChainError, match="refused: limit exceeded"):
        actions.verify(bundle)


@pytest.mark.parametrize("error", [(-32602, "invalid block tag"), (-39001, "Unknown block"), (-32000, "no finalized")])
def test_a_chain_without_finality_is_read_at_its_latest_block_and_that_is_said(
    bundle: Path, tester: InProcessNode, error: tuple[int, str]
):
    tester.no_finality = error
    actions.sign(bundle)
    assert "no finalized one is known" in actions.anchor(bundle).ledger
    verdict = actions.verify(bundle)
    assert verdict.approved
    assert "a reorganisation can undo this" in verdict.facts["basis"]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("chain", "1", "serves chain 131277322940537; the federation is on chain 1"),
        ("contract", "11" * 20, "there is no contract at 0x1111"),
        ("contract", "00" * 19 + "04", "there is no contract at 0x0000"),
        ("contract", "0x11", "not 20 bytes"),
        ("first_block", "one", "first_block is"),
    ],
)
def test_another_chain_or_contract_is_refused(
    bundle: Path, on_node: Home, tester: InProcessNode, field: str, value: object, sentence: str
):
    actions.sign(bundle)
    actions.anchor(bundle)
    rewrite(on_node, field, value)
    for act in (actions.verify, actions.anchor, actions.revoke):
        with pytest.raises((ChainError, DocumentError), match=sentence):
            act(bundle)


def test_a_contract_of_other_code_is_refused(bundle: Path, on_node: Home, tester: InProcessNode):
    actions.sign(bundle)
    actions.anchor(bundle)
    web3 = Web3(tester)
    # init code that returns one byte of code: STOP
    sent = web3.eth.send_transaction({"from": web3.eth.accounts[0], "data": HexBytes("0x60015ff3")})
    other = str(web3.eth.wait_for_transaction_receipt(sent)["contractAddress"])
    rewrite(on_node, "contract", other[2:].lower())
    with pytest.raises(ChainError, match="is not the federation's: its code differs"):
        ChainGate.default().admit(read_manifest(bundle))


def test_who_cannot_pay_is_told_which_account_to_fund(bundle: Path, on_node: Home, monkeypatch: pytest.MonkeyPatch):
    ask(InProcessNode(), monkeypatch)
    actions.sign(bundle)
    with pytest.raises(ChainError, match=r"the new federation was not sent; 0x[0-9a-f]{40} pays for gas"):
        actions.anchor(bundle)
    assert not on_node.federation.exists()


def test_a_node_that_does_not_answer_approves_nothing(
    bundle: Path, on_node: Home, tester: InProcessNode, monkeypatch: pytest.MonkeyPatch
):
    actions.sign(bundle)
    actions.anchor(bundle)
    monkeypatch.undo()
    asked = Home(on_node.folder, "http://127.0.0.1:1/a-secret-key")
    with pytest.raises(ChainError, match=r"^the node at 127\.0\.0\.1:1 does not answer; nothing is approved unasked$"):
        actions.verify(bundle, asked)
    with pytest.raises(ChainError, match="does not answer"):
        ChainGate.default(asked).admit(read_manifest(bundle))


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"jsonrpc":"2.0","id":1,"result":"x"}', b'{"result":null}'])
def test_what_is_no_node_has_one_sentence(answer: bytes, on_node: Home, bundle: Path):
    actions.sign(bundle)
    Where(Domain(1, b"\x11" * 20), 1).reached_by((URL,)).write(on_node)
    with answering(answer) as url, pytest.raises(ChainError, match="is no Ethereum node, or answers wrongly"):
        actions.verify(bundle, Home(on_node.folder, url))


@pytest.mark.parametrize("url", ["node", "file:///etc/passwd", "http://", "ws://node"])
def test_what_is_no_url_of_a_node_is_refused(url: str):
    with pytest.raises(ChainError, match="named by its node's URL"):
        rpc_endpoint.provider_at(url)


def test_what_a_home_did_on_a_chain_it_has_seen(bundle: Path, on_node: Home, tester: InProcessNode):
    actions.sign(bundle)
    anchored = actions.anchor(bundle)
    where = read_where(on_node)
    assert where is not None
    floors = Floors(on_node.proofs)
    assert floors.read(where.domain).block >= anchored.block
    # no verdict was read, and none is needed
    withdrawn = actions.revoke(bundle)
    assert floors.read(where.domain).block >= withdrawn.block


def test_looking_at_a_federation_before_joining_it_raises_no_floor(
    bundle: Path, on_node: Home, tester: InProcessNode, tmp_path: Path
):
    actions.sign(bundle)
    actions.anchor(bundle)
    east = Home(tmp_path / "east", URL)
    found = prepare_to_join(east, invitation_to(on_node))
    assert found.replayed is None
    assert not east.proofs.exists()
    found.keep(east)
    chain = open_chain(east)
    assert chain is not None
    chain.snapshot()
    assert Floors(east.proofs).read(found.where.domain).block == found.standing.block
