"""Killed between any two requests while it sends, a process loses nothing: who comes next finishes what it began.

`GRAPHOPT_KILLS=200 pytest tests/governance/test_outbox_kills.py` kills at every request; fewer, at those that matter.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from web3 import Web3
from web3.providers import BaseProvider
from web3.types import RPCEndpoint

from graphopt.bundle import read_manifest
from graphopt_governance import actions
from graphopt_governance.chains.outbox import Outbox
from graphopt_governance.chains.rpc import RpcChain
from graphopt_governance.chains.where import read_where
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key

from .conftest import make_bundle
from .deadly_node import DeadlyNode, on_the_wire
from .ethereum_node import InProcessNode, anvil
from .ledger_work import anchor_on_node, everything, revoke_on_node, started

EVERYWHERE = int(os.environ.get("GRAPHOPT_KILLS", "0")) >= 100


@contextmanager
def deadly(machine: str) -> Generator[tuple[DeadlyNode, BaseProvider]]:
    """A node that makes blocks when it is told to, as one that kills, and as one that does not."""
    if machine == "embedded":
        inside = InProcessNode()
        inside.waiting = {}

        def answer(method: str, params: Any) -> Any:
            return inside.make_request(RPCEndpoint(method), params)

        yield DeadlyNode(answer, lambda: inside.answer_web3(RPCEndpoint("evm_mine"), [1])), inside
        return
    with anvil("--no-mining", "--slots-in-an-epoch", "1") as outside:
        node = DeadlyNode(
            lambda method, params: outside.make_request(RPCEndpoint(method), params),
            lambda: outside.make_request(RPCEndpoint("evm_mine"), []),
        )
        yield node, outside


@pytest.mark.parametrize("machine", ["embedded", pytest.param("anvil", marks=pytest.mark.anvil)])
@pytest.mark.parametrize("what", ["found", "anchor", "revoke"])
def test_whenever_it_is_killed_it_is_done_once_and_paid_once(what: str, machine: str, home: Home, tmp_path: Path):
    work, event = (revoke_on_node, "Revoked") if what == "revoke" else (anchor_on_node, "Anchored")
    with deadly(machine) as (node, provider), on_the_wire(node) as url:

        def prepared(number: int) -> tuple[Home, Path]:
            """Where to do it and with what; the first time on a chain that has no federation yet."""
            at = Home(tmp_path / f"home-{number}" if what == "found" else home.folder, url)
            bundle = make_bundle(tmp_path / f"bundle-{number}", f"{number:064x}")
            actions.sign(bundle, at)
            if what == "found" or number == 0:
                give(node, load_member_key(at.member_key).account)
            if what == "revoke":
                told(anchor_on_node, at, bundle)
            return at, bundle

        # once undisturbed, to see what is asked
        at, bundle = prepared(0)
        before = len(node.asked)
        [_] = told(work, at, bundle)
        asked = node.asked[before:]
        for number, (moment, afterwards) in enumerate(moments_of(asked), 1):
            at, bundle = prepared(number)
            begun = paid(provider, at)
            node.moment, node.afterwards = len(node.asked) + moment, afterwards
            first = told(work, at, bundle, node)
            node.moment = None
            [again] = told(work, at, bundle)
            chain = behind(provider, at)
            assert [found.block for found in chain.events(event, read_manifest(bundle).digest)] == [again]
            assert first in ([], [again])
            wanted = 2 if what == "found" else 1
            assert paid(provider, at) == begun + wanted, (moment, afterwards, asked[moment])
            left = Outbox(at.folder).load()
            assert left is not None
            assert left.block == again


def moments_of(asked: list[str]) -> list[tuple[int, bool]]:
    """When to kill: at which request, and whether after it was done."""
    sending = [index for index, method in enumerate(asked) if method == "eth_sendRawTransaction"]
    assert sending
    afterwards = [(index, True) for index in sending]
    if EVERYWHERE:
        return [*((index, False) for index in range(len(asked))), *afterwards]
    return [(sending[-1], False), *afterwards, (len(asked) - 1, False)]


def told(work: Any, home: Home, bundle: Path, node: DeadlyNode | None = None) -> list[Any]:
    """What a process told that did the work, until it was killed."""
    process, heard = started(work, home.folder, home.chain, bundle)
    if node is not None:
        node.victims.put(process.pid)
    messages = everything(heard)
    process.join()
    if node is None:
        assert process.exitcode == 0
    return messages


def behind(provider: BaseProvider, home: Home) -> RpcChain:
    """The federation of `home`, asked without the wire."""
    where = read_where(home)
    assert where is not None
    return RpcChain.open([provider], where, home, lambda: load_member_key(home.member_key))


def paid(provider: BaseProvider, home: Home) -> int:
    """How many transactions the home's account has in blocks."""
    account = load_member_key(home.member_key).account
    return Web3(provider).eth.get_transaction_count(Web3.to_checksum_address(account))


def give(node: DeadlyNode, account: bytes) -> None:
    """An ether for `account`, in a block."""
    [rich, *_] = node.answer("eth_accounts", [])["result"]
    sending = {"from": rich, "to": "0x" + account.hex(), "value": hex(10**18), "gas": hex(21000)}
    node.answer("eth_sendTransaction", [sending])
    node.mine()
