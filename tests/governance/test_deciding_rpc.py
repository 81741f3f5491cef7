"""Three organisations decide on an Ethereum chain as they do on the embedded one: the same calls, another chain."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest
from web3 import Web3
from web3.providers import BaseProvider

from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.chains import rpc_endpoint
from graphopt_governance.decide.acting import Member, anchor_batch, revoke
from graphopt_governance.decide.deciding import anchor_proposals, approve, propose
from graphopt_governance.decide.founding import (
    Charter,
    found_federation,
    invitation_to,
    own_federation,
    prepare_to_join,
)
from graphopt_governance.decide.relaying import relay_ballots
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.cards import make_card
from graphopt_governance.home import Home

from .conftest import NODES, fresh_node, make_bundle
from .ethereum_node import fund

URL = "http://node.invalid:8545"
MODEL = b"an ONNX model, as far as governance knows"


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Generator[BaseProvider]:
    """A node at every URL."""
    with fresh_node(request.param, request) as provider:

        def provider_at(url: str) -> BaseProvider:
            return provider

        monkeypatch.setattr(rpc_endpoint, "provider_at", provider_at)
        yield provider


@pytest.fixture
def homes(node: BaseProvider, home: Home, tmp_path: Path) -> list[Home]:
    """Three members, the first of whom founded; everybody who sends pays for it."""
    homes = [Home(tmp_path / name, URL) for name in ("north", "east", "west")]
    cards = [make_card(home) for home in homes]
    for card in cards:
        fund(node, card.account)
    found_federation(homes[0], Charter(tuple(cards), 2))
    for home in homes[1:]:
        prepare_to_join(home, invitation_to(homes[0])).keep(home)
    return homes


def test_who_does_not_agree_deploys_nothing(node: BaseProvider, home: Home, tmp_path: Path):
    north = Home(tmp_path / "north", f"{URL}/a-secret-key")
    fund(node, make_card(north).account)
    bundle = make_bundle(tmp_path / "bundle")
    actions.sign(bundle, north)
    shown: list[str] = []

    def refuse(lines: Sequence[str]) -> None:
        shown.extend(lines)
        raise GraphoptError("no")

    account = Web3.to_checksum_address(make_card(north).account)
    with pytest.raises(GraphoptError, match="no"):
        actions.anchor(bundle, home=north, ask=refuse)
    assert shown[0].startswith("found a federation whose only member you are")
    assert "a-secret-key" not in "".join(shown)
    assert Web3(node).eth.get_transaction_count(account) == 0
    assert not north.federation.exists()


def test_a_model_and_a_batch_go_through_three_hands(homes: list[Home], tmp_path: Path):
    north, east, west = homes
    source = tmp_path / "m.onnx"
    source.write_bytes(MODEL)
    bundle = make_bundle(tmp_path / "bundle", hashlib.sha256(MODEL).hexdigest())
    other = make_bundle(tmp_path / "other")
    for folder in (bundle, other):
        actions.sign(folder, north)
    propose(bundle, "digits", tmp_path / "p", source=source, home=north)
    approve(tmp_path / "p", home=east)
    approve(tmp_path / "p", home=west)
    assert not actions.verify(bundle, west).approved
    anchor_proposals([tmp_path / "p"], home=east)
    assert actions.verify(bundle, west).approved

    anchor_batch(Member(north), [other], output=tmp_path / "batch")
    approve(tmp_path / "batch", home=west)
    anchor_proposals([tmp_path / "batch"], home=west)
    assert actions.verify(other, west).approved

    file = tmp_path / "revoke.ballot.json"
    revoke(Member(north), bundle, "wrong labels", output=file)
    approve(file, home=east)
    relay_ballots([Ballot.load(file)], own_federation(west))
    assert "wrong labels" in actions.verify(bundle, east).sentence
