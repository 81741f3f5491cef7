"""`verify` behind a real chain's node: approvals that end, versions that follow each other, and a node that dies."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest
from web3 import Web3
from web3.types import RPCEndpoint

from graphopt.bundle import read_manifest
from graphopt_governance import actions
from graphopt_governance.chains import rpc_endpoint
from graphopt_governance.errors import ChainError, UnreachableError
from graphopt_governance.gate import ChainGate, FederationRefusedError
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from tests.cli.command import graphopt, refused

from .anvil_node import AnvilNode, Node, anvil_node, more_blocks
from .conftest import NODES, fresh_node, make_bundle
from .ethereum_node import fund


def reached_through(node: Node, home: Home, patch: pytest.MonkeyPatch) -> None:
    """Let `node` be what is asked, and the home's member be able to pay there."""

    def provider_at(url: str) -> Node:
        return node

    patch.setattr(rpc_endpoint, "provider_at", provider_at)
    fund(node, load_member_key(home.member_key).account)


@pytest.fixture(params=NODES)
def node(request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch) -> Generator[Node]:
    monkeypatch.setenv("GRAPHOPT_CHAIN", "http://node.invalid:8545")
    with fresh_node(request.param, request) as node:
        reached_through(node, home, monkeypatch)
        yield node


def block_time(node: Node) -> int:
    return Web3(node).eth.get_block("latest").get("timestamp", 0)


def next_block_at(node: Node, seconds: int) -> None:
    """Make a block of this time, and as many as make it final."""
    if isinstance(node, AnvilNode):
        answer = node.make_request(RPCEndpoint("evm_setNextBlockTimestamp"), [seconds])
        assert "error" not in answer
        more_blocks(node, 3)
    else:
        node.answer_web3(RPCEndpoint("testing_timeTravel"), [seconds])
        more_blocks(node, 1)


def test_an_approval_ends_by_the_time_of_blocks_and_no_clock_that_is_slow_prolongs_it(
    bundle: Path, node: Node, home: Home, monkeypatch: pytest.MonkeyPatch
):
    actions.sign(bundle)
    end = max(block_time(node), int(time.time())) + 1000
    actions.anchor(bundle, expires=end)
    clock = [float(block_time(node))]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    assert actions.verify(bundle).approved
    # one that is slow by more than clocks differ is noticed by the blocks, which seem to be of the future
    clock[0] -= 10**6
    assert actions.verify(bundle).exit_code == 18
    # a clock that is fast ends it sooner, never later
    clock[0] = end + 10.0**6
    assert actions.verify(bundle).exit_code == 16
    next_block_at(node, end)
    for wrong in (0.0, end - 10**6, end - 30, end + 10**6):
        clock[0] = wrong
        verdict = actions.verify(bundle)
        assert verdict.exit_code == 16
        assert "the approval ended at" in verdict.sentence
        with pytest.raises(FederationRefusedError, match="the approval ended"):
            ChainGate.default(home).admit(read_manifest(bundle))


def test_an_old_version_is_refused_once_a_later_one_is_final(bundle: Path, node: Node):
    later = make_bundle(bundle.parent / "later", "cd" * 32)
    for each, version in ((bundle, 1), (later, 2)):
        actions.sign(each)
        assert actions.anchor(each, "digits").version == version
        assert actions.verify(each).approved
    assert actions.verify(bundle).exit_code == 17
    # asking for its approval again pushes nothing back
    assert actions.anchor(bundle, "digits").already
    assert (actions.verify(bundle).exit_code, actions.verify(later).exit_code) == (17, 0)
    # nor does the end of the later one bring it back
    actions.revoke(later)
    assert (actions.verify(bundle).exit_code, actions.verify(later).exit_code) == (17, 15)


def test_one_members_emergency_is_seen_by_whoever_verifies(bundle: Path, node: Node, home: Home):
    actions.sign(bundle)
    actions.anchor(bundle)
    actions.revoke(bundle, "labels", emergency=True)
    assert actions.verify(bundle).exit_code == 15
    assert "suspended" in actions.verify(bundle).sentence


@pytest.mark.anvil
def test_a_node_that_dies_approves_nothing_but_what_was_kept_for_as_long_as_is_said(
    bundle: Path, home: Home, monkeypatch: pytest.MonkeyPatch
):
    unknown = make_bundle(bundle.parent / "unknown", "cd" * 32)
    with ExitStack() as running:
        node = running.enter_context(anvil_node())
        monkeypatch.setenv("GRAPHOPT_CHAIN", str(node.endpoint_uri))
        with pytest.MonkeyPatch.context() as patch:
            reached_through(node, home, patch)
            for each in (bundle, unknown):
                actions.sign(each)
            actions.anchor(bundle)
        gate = ChainGate.default(home)
        gate.admit(read_manifest(bundle))
        assert graphopt("verify", bundle).code == 0
        assert graphopt("verify", unknown).code == 14
        running.close()
        # it is gone; the home, its keys and its proofs are as they were
        assert "does not answer; nothing is approved unasked" in refused("verify", bundle)
        for each in (gate, ChainGate.default(home)):
            with pytest.raises(UnreachableError):
                each.admit(read_manifest(bundle))
        for sends in (actions.revoke, actions.anchor):
            with pytest.raises(ChainError, match="does not answer"):
                sends(bundle)
        told = graphopt("verify", bundle, "--max-age", "1h", "--json")
        assert told.code == 0
        assert "the chain was unreachable" in told.data["basis"]
        assert graphopt("verify", unknown, "--max-age", "1h").code == 14, "that it was not approved was kept as well"
        strange = make_bundle(bundle.parent / "strange", "ef" * 32)
        actions.sign(strange)
        assert "no proof of this bundle was kept" in refused("verify", strange, "--max-age", "1h")
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 3700)
        assert graphopt("verify", bundle, "--max-age", "1h").code == 18
        monkeypatch.setattr(time, "time", lambda: now - 3700)
        assert graphopt("verify", bundle, "--max-age", "1h").code == 18, "a proof that is from the future"
