"""The same commands on a real chain, by the URL of its node: founded, joined, changed, shown."""

from __future__ import annotations

from collections.abc import Generator
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.providers import BaseProvider

from graphopt_governance.chains import rpc_endpoint
from graphopt_governance.chains.where import read_where
from graphopt_governance.keys.member_key import load_member_key
from tests.cli.organisations import organisations
from tests.governance.anvil_node import anvil_node
from tests.governance.ethereum_node import InProcessNode, fund

ONE, TWO, SECRET = "http://one.invalid:8545", "http://two.invalid:8545", "http://two.invalid:8545/a-secret-key"


def ask(provider: BaseProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `provider` be the node at every URL."""

    def provider_at(url: str) -> BaseProvider:
        assert url in (ONE, TWO, SECRET)
        if not isinstance(provider, InProcessNode):
            return provider
        # it has no URL of its own, and by another one it is another voice
        named: Any = copy(provider)
        named.endpoint_uri = url
        return named

    monkeypatch.setattr(rpc_endpoint, "provider_at", provider_at)


def live_through(provider: BaseProvider, folder: Path, *urls: str) -> None:
    """Three found a federation behind the nodes at `urls`, join it, and admit a fourth."""
    north, east, west, south = organisations(folder, "north", "east", "west", "south")
    cards = [argument for member in (east, west) for argument in ("--member", member.card())]
    init = ("fed", "init", *cards, "--quorum", 2, "--chain", ",".join(urls), "--yes", "-o", "invitation.json")
    assert "pays for gas" in north.refused(*init)
    fund(provider, load_member_key(north.home.member_key).account)
    founded = north.graphopt(*init)
    assert founded.code == 0, founded.err
    where = read_where(north.home)
    assert where is not None
    assert (where.endpoints, where.agree) == (urls, len(urls))
    assert not north.home.ledger.exists()
    # nothing that `fed` prints or hands out holds what may be a node's secret
    assert "a-secret-key" not in founded.out + founded.err + Path("invitation.json").read_text()
    head = Web3(provider).eth.get_block("latest")
    checkpoint = f"{head.get('number', 0)}:{bytes(head.get('hash', b'')).hex()}"
    join = ("fed", "join", "invitation.json", "--yes", "--chain")
    joined = east.graphopt(*join, TWO, "--checkpoint", checkpoint, "--json")
    assert joined.code == 0, joined.err
    assert joined.data["member"] == 2
    # from now on nobody has to name the node again
    status = east.graphopt("fed", "status", "--json").data
    assert [row["name"] for row in status["members"]] == ["north", "east", "west"]
    assert west.graphopt(*join, ONE).code == 0
    north.graphopt("fed", "member", "add", south.card(), "-o", "add.json")
    for member in (east, west):
        assert member.graphopt("approve", "add.json", "--yes").code == 0
    relayed = north.graphopt("fed", "relay", "add.json", "--json")
    assert relayed.code == 0, relayed.err
    assert relayed.data["done"] is True
    assert [row["number"] for row in west.graphopt("fed", "status", "--json").data["members"]] == [1, 2, 3, 4]
    assert "which is its own log" in west.refused("audit", "export", "-o", "log.json")
    assert "member 4 has account" in west.graphopt("fed", "log").out
    assert "federation already" in north.refused(*init)


def test_a_federation_lives_on_a_chain_as_on_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    provider = InProcessNode()
    ask(provider, monkeypatch)
    live_through(provider, tmp_path, ONE, SECRET)


@pytest.fixture
def real() -> Generator[BaseProvider]:
    with anvil_node() as provider:
        yield provider


@pytest.mark.anvil
def test_nodes_that_are_one_are_refused_before_anything_is_paid(
    real: BaseProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ask(real, monkeypatch)
    north = organisations(tmp_path, "north")[0]
    fund(real, load_member_key(north.home.member_key).account)
    before = Web3(real).eth.block_number
    assert "one node is one voice" in north.refused("fed", "init", "--chain", f"{ONE},{TWO}", "--yes")
    assert Web3(real).eth.block_number == before
    assert not north.home.federation.exists()


@pytest.mark.anvil
def test_a_federation_lives_on_anvil(real: BaseProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ask(real, monkeypatch)
    live_through(real, tmp_path, SECRET)


def test_what_does_not_fit_the_invitation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    provider = InProcessNode()
    ask(provider, monkeypatch)
    north, east = organisations(tmp_path, "north", "east")
    fund(provider, load_member_key(north.home.member_key).account)
    assert north.graphopt("fed", "init", "--chain", ONE, "--yes", "-o", "right.json").code == 0
    right = Path("right.json").read_text()

    def told(before: str, after: str, *more: object) -> str:
        Path("wrong.json").write_text(right.replace(before, after))
        return east.refused("fed", "join", "wrong.json", "--chain", ONE, "--yes", *more)

    where = read_where(north.home)
    assert where is not None
    assert "serves chain" in told(str(where.domain.chain_id), "1")
    assert "there is no contract" in told(where.domain.contract.hex(), "11" * 20)
    assert "is no checkpoint" in told("", "", "--checkpoint", "12")
    assert "cannot agree" in told("", "", "--agree", 2)
    assert not east.home.federation.exists()
