"""A revocation is obeyed within the bound that docs/governance.md states, whatever one of three nodes does.

`GRAPHOPT_SLOW_NODES=30 pytest tests/governance/test_watch_nodes.py` lets a slow node take its 30 seconds, and a round
as long as it may; by default all times are shorter.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from graphopt.bundle import read_manifest
from graphopt_governance import actions
from graphopt_governance.chains import rpc, rpc_endpoint, rpc_polling, rpc_reading
from graphopt_governance.chains.floors import Floors
from graphopt_governance.chains.time_limit import within
from graphopt_governance.chains.where import Where, read_where
from graphopt_governance.errors import ChainError
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.verdict import watch
from graphopt_governance.verdict.judging import Judge

from .anvil_node import height, snapshot, turn_back
from .conftest import make_bundle
from .ethereum_node import InProcessNode, fund
from .lying_nodes import Answer, Named, OneAtATime, dead, honest, served, slow
from .test_lying_node import with_its_hash

LATE = float(os.environ.get("GRAPHOPT_SLOW_NODES", "0"))
"""Seconds that a slow node takes; 0: few, and a round is as much shorter."""

MODELS = 8
RECHECK = 1.0 if LATE else 0.2


@dataclass(frozen=True)
class World:
    node: InProcessNode
    behind: OneAtATime
    home: Home
    bundles: list[Path]
    where: Where


class Model:
    """Something loaded; `at` is when it was withdrawn."""

    def __init__(self) -> None:
        self.at: float | None = None
        self.why: list[str] = []

    def withdraw(self, why: str) -> None:
        self.at = self.at or time.monotonic()
        self.why.append(why)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Eight models of a federation on a chain, all of them approved."""
    node, folder = InProcessNode(), tmp_path_factory.mktemp("world")
    home = Home(folder / "home", "http://node.invalid:8545")
    bundles = [make_bundle(folder / str(at), f"{at:064x}") for at in range(MODELS)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rpc_endpoint, "provider_at", lambda _: node)
        fund(node, load_member_key(home.member_key).account)
        for bundle in bundles:
            actions.sign(bundle, home)
            actions.anchor(bundle, home=home)
    where = read_where(home)
    assert where is not None
    return World(node, OneAtATime(node), home, bundles, where)


@pytest.fixture(autouse=True)
def _undone(world: World) -> Generator[None]:
    """The chain is as before when a test is over, and nobody has seen that it went on."""
    start, seen = snapshot(world.node), world.home.folder.with_name("seen")
    shutil.copytree(world.home.proofs, seen)
    yield
    turn_back(world.node, start)
    shutil.rmtree(world.home.proofs)
    seen.rename(world.home.proofs)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> float:
    """How long a round may take, shorter than it is unless a node is to be as slow as nodes are."""
    if not LATE:
        monkeypatch.setattr(watch, "ROUND_SECONDS", 4.0)
        monkeypatch.setattr(rpc_polling, "HEDGE_SECONDS", 0.2)
        monkeypatch.setattr(rpc_polling, "GRACE_SECONDS", 0.3)
        monkeypatch.setattr(rpc_reading, "EVENTS_SECONDS", 1.0)
    return watch.ROUND_SECONDS


def revoke(world: World, at: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rpc_endpoint, "provider_at", lambda _: world.behind)
        actions.revoke(world.bundles[at], "wrong labels", home=world.home)


def late() -> float:
    return LATE or 6.0


def proofs_late(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    if method == "eth_getProof":
        time.sleep(late())
    return ask()


def blocks_late(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    if method == "eth_getBlockByNumber":
        time.sleep(late())
    return ask()


def no_proofs(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    return {"result": {"accountProof": [], "storageProof": []}} if method == "eth_getProof" else ask()


def making_up_events(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    """A thousand events, each in a block of its own, of which each takes its time."""
    told = ask()
    if method == "eth_getLogs" and told["result"]:
        log = told["result"][-1]
        number = int(log["blockNumber"], 16)
        return {"result": [log | {"blockNumber": hex(1 + at % number)} for at in range(1000)]}
    if method == "eth_getBlockByNumber" and params[0] != "finalized":
        time.sleep(late())
    return told


def far_ahead(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    told = ask()
    if method == "eth_getBlockByNumber" and params[0] == "finalized":
        return {"result": with_its_hash(told["result"] | {"number": hex(10**6)})}
    if method == "eth_getBlockByNumber":
        time.sleep(late())
    return told


def endless(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    """Ever more of what nobody asked for."""
    return ask() | {"more": "x" * 8 * 2**20}


LIES: dict[str, Answer] = {
    "dead": dead,
    "slow": lambda *question: slow(late())(*question),
    "slow to prove": proofs_late,
    "slow with blocks": blocks_late,
    "proves nothing": no_proofs,
    "makes up events": making_up_events,
    "far ahead": far_ahead,
    "endless": endless,
}


_places = itertools.count()


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_revocation_is_obeyed_in_time_whatever_one_of_three_nodes_does(
    lie: Answer, world: World, short: float, tmp_path: Path
):
    place = next(_places) % 3
    with ExitStack() as stack:
        urls = [
            stack.enter_context(served(Named(world.behind, str(at), lie if at == place else honest))) for at in range(3)
        ]
        reader = Home(tmp_path / "reader")
        world.where.reached_by(tuple(urls)).write(reader)
        judge = Judge(reader)
        gate = stack.enter_context(ChainGate(None, every=RECHECK, judge=judge.judge, together=judge.together))
        models = [Model() for _ in world.bundles]
        for bundle, model in zip(world.bundles, models, strict=True):
            gate.watch(read_manifest(bundle), model)
        gate.admit(read_manifest(world.bundles[0]))
        assert not any(model.why for model in models)
        revoke(world, MODELS - 1)
        final = time.monotonic()
        end = final + RECHECK + short + 5
        while models[-1].at is None:
            assert time.monotonic() < end, "it runs on"
            time.sleep(0.01)
        assert models[-1].at - final < RECHECK + short, models[-1].why
        assert models[-1].why[0] == "revoked by the federation"
        time.sleep(2 * RECHECK)
        assert not any(model.why for model in models[:-1]), "what one node does takes away nothing else"


def test_why_is_told_when_it_is_withdrawn_already(world: World, short: float, tmp_path: Path):
    with served(Named(world.behind, "one")) as url:
        reader = Home(tmp_path / "reader")
        world.where.reached_by((url,)).write(reader)
        with ChainGate.default(reader, every=RECHECK) as gate:
            manifest, model = read_manifest(world.bundles[0]), Model()
            gate.watch(manifest, model)
            revoke(world, 0)
            end = time.monotonic() + RECHECK + short + 5
            while len(model.why) < 2:
                assert time.monotonic() < end
                time.sleep(0.01)
    assert model.why[0] == "revoked by the federation"
    assert model.why[1].startswith(f"revoked by the federation in block {height(world.node)} (")
    assert model.why[1].endswith(": wrong labels")


def test_a_round_asks_once_for_all_models(world: World, tmp_path: Path):
    node = Named(world.behind, "one")
    with served(node) as url:
        reader = Home(tmp_path / "reader")
        world.where.reached_by((url,)).write(reader)
        judge, manifests = Judge(reader), [read_manifest(bundle) for bundle in world.bundles]
        judge.judge(manifests[0])
        node.asked.clear()
        judged = judge.together(manifests)
        assert all(judged(manifest, False).approved for manifest in manifests)
        asked = [method for method, _ in node.asked]
        assert asked == ["eth_getBlockByNumber", *["eth_getProof"] * 4]
    kept = [(reader.proofs / f"{manifest.digest.hex()}.json").read_bytes() for manifest in manifests]
    assert max(map(len, kept)) < 1.5 * min(map(len, kept)), "each has a proof of its own, and nothing of the others'"


@pytest.mark.parametrize("lie", [making_up_events, endless], ids=["makes up events", "endless"])
def test_a_verdict_waits_for_no_event(lie: Answer, world: World, short: float, tmp_path: Path):
    revoke(world, 0)
    with ExitStack() as stack:
        urls = [
            stack.enter_context(served(Named(world.behind, str(at), answer)))
            for at, answer in enumerate([lie, honest, honest])
        ]
        reader = Home(tmp_path / "reader")
        world.where.reached_by(tuple(urls)).write(reader)
        begun = time.monotonic()
        verdict = actions.verify(world.bundles[0], reader)
        assert time.monotonic() - begun < 5
        assert verdict.exit_code == 15
        assert verdict.sentence.endswith("wrong labels"), "what two of three tell is told"


class Behind:
    """The node `behind`, which for so many seconds does not know that its newest block is final."""

    def __init__(self, world: World, seconds: float) -> None:
        self._behind, self._final = world.behind, hex(height(world.node) - 1)
        self._end = time.monotonic() + seconds

    def make_request(self, method: Any, params: Any) -> Any:
        if params and params[0] == "finalized" and time.monotonic() < self._end:
            params = [self._final, *params[1:]]
        return self._behind.make_request(method, params)


@pytest.mark.parametrize("seconds", [0.8, 600.0])
def test_who_is_a_block_behind_is_asked_again_before_it_is_refused(
    seconds: float, world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(rpc, "CATCH_UP_SECONDS", 2.0)
    answers: list[Answer] = [honest]
    one = Named(world.behind, "one", lambda *question: answers[-1](*question))
    nodes = [one, Named(world.behind, "two"), Named(Behind(world, seconds), "three")]
    where = replace(world.where, endpoints=tuple(node.endpoint_uri for node in nodes), agree=2)
    chain = rpc.RpcChain.open(nodes, where, Home(tmp_path), lambda: pytest.fail("reading pays nothing"))
    chain = chain.remembering(Floors(tmp_path / "proofs"))
    newest = chain.snapshot().block
    assert newest == height(world.node)
    # of those who gave it, one is gone, and what is left agrees on the block before
    answers.append(dead)
    begun = time.monotonic()
    if seconds < 2:
        assert chain.snapshot().block == newest
    else:
        with pytest.raises(ChainError, match=f"went back: this home has seen block {newest} of it, .* {newest - 1};"):
            chain.snapshot()
        begun = time.monotonic()
        with within(1.0), pytest.raises(ChainError, match="went back"):
            chain.snapshot()
        assert time.monotonic() - begun < 1
    assert time.monotonic() - begun < 4
