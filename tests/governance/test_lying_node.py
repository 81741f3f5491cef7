"""Nodes that lie: whatever a node answers, no bundle is approved that is not, nor refused for what is not so."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st
from web3 import Web3

from graphopt.bundle import Manifest, read_manifest
from graphopt_governance import actions
from graphopt_governance.chains import rpc_endpoint
from graphopt_governance.chains.block_header import header_bytes
from graphopt_governance.chains.chain import Checkpoint
from graphopt_governance.chains.rpc import RpcChain
from graphopt_governance.chains.where import Where, read_where
from graphopt_governance.errors import ChainError, UnreachableError
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import MemberKey, load_member_key
from graphopt_governance.verdict.judging import Judge
from graphopt_governance.verdict.verify import Verdict, judge

from .anvil_node import Node as HonestNode
from .conftest import NODES, fresh_node, make_bundle
from .ethereum_node import fund
from .wire import FIELDS

Alter = Callable[[str, Any], Any]
"""From the method and the node's answer to what is said instead."""


class Node:
    """A node by name, which says of `behind` what `alter` makes of it, and remembers what it heard."""

    def __init__(self, behind: HonestNode, name: str = "honest", alter: Alter = lambda _, answer: answer) -> None:
        self.behind, self.alter = behind, alter
        self.endpoint_uri = f"http://{name}:8545/key"
        self._heard: dict[str, Any] = {}

    def make_request(self, method: Any, params: Any) -> Any:
        question = json.dumps([method, params])
        if question not in self._heard:
            self._heard[question] = self.behind.make_request(method, params)
        return self.alter(method, json.loads(json.dumps(self._heard[question])))


class World:
    """A federation on a chain, with a bundle that is approved and one that was revoked."""

    def __init__(self, folder: Path, home: Home, node: HonestNode) -> None:
        self.home, self.node = home, node
        fund(self.node, load_member_key(home.member_key).account)
        self.bundles = {name: make_bundle(folder / name, letter * 64) for name, letter in (("good", "a"), ("bad", "b"))}
        for bundle in self.bundles.values():
            actions.sign(bundle, home)
            actions.anchor(bundle, home=home)
        self.while_approved = Web3(self.node).eth.get_block("finalized").get("number", 0)
        actions.revoke(self.bundles["bad"], "wrong", home=home)
        where = read_where(home)
        assert where is not None
        self.where: Where = where

    def manifest(self, name: str) -> Manifest:
        return read_manifest(self.bundles[name])

    def chain(self, *nodes: Node, agree: int = 1, checkpoint: Checkpoint | None = None) -> RpcChain:
        def nobody() -> MemberKey:
            raise AssertionError("reading pays nothing")

        urls = tuple(node.endpoint_uri for node in nodes)
        where = replace(self.where, endpoints=urls, agree=agree, checkpoint=checkpoint)
        return RpcChain.open(nodes, where, self.home, nobody)

    def verdict(self, name: str, *nodes: Node, agree: int = 1, checkpoint: Checkpoint | None = None) -> Verdict:
        return judge(self.manifest(name), self.chain(*nodes, agree=agree, checkpoint=checkpoint))


@pytest.fixture(scope="module", params=NODES)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    """Behind eth-tester's node, and then behind anvil."""
    folder = tmp_path_factory.mktemp("world")
    home = Home(folder / "home", "http://node.invalid:8545")
    with fresh_node(request.param, request) as node, pytest.MonkeyPatch.context() as patch:

        def provider_at(url: str) -> HonestNode:
            return node

        patch.setattr(rpc_endpoint, "provider_at", provider_at)
        yield World(folder, home, node)


EXPECTED = {"good": 0, "bad": 15}


def test_an_honest_node_is_asked_a_handful_of_questions(world: World):
    asked: list[str] = []

    def note(method: str, answer: Any) -> Any:
        asked.append(method)
        return answer

    for name, code in EXPECTED.items():
        asked.clear()
        assert world.verdict(name, Node(world.node, alter=note)).exit_code == code
        assert asked.count("eth_getProof") <= 4
    assert set(asked) <= {"eth_chainId", "eth_getBlockByNumber", "eth_getProof", "eth_getLogs"}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(EXPECTED)), st.integers(0, 6), st.integers(0, 2**20), st.integers(0, 7))
def test_no_bit_that_is_flipped_in_any_answer_changes_a_verdict(
    world: World, name: str, which: int, place: int, bit: int
):
    answers = 0

    def flip(method: str, answer: Any) -> Any:
        nonlocal answers
        answers += 1
        if method == "eth_getLogs" or answers - 1 != which:
            return answer
        data = bytearray(json.dumps(answer).encode())
        data[place % len(data)] ^= 1 << bit
        return json.loads(data)

    try:
        verdict = world.verdict(name, Node(world.node, alter=flip))
    except ChainError as error:
        assert "\n" not in str(error)  # noqa: PT017 - a sentence, or the verdict that is right
    else:
        assert verdict.exit_code == EXPECTED[name]


def test_what_a_node_says_a_value_is_decides_nothing(world: World):
    def empty(method: str, answer: Any) -> Any:
        for proof in answer["result"]["storageProof"] if method == "eth_getProof" else ():
            proof["value"] = "0x0"
        return answer

    for name, code in EXPECTED.items():
        assert world.verdict(name, Node(world.node, alter=empty)).exit_code == code


def test_a_proof_of_before_the_revocation_proves_nothing_now(world: World):
    old = hex(world.while_approved)

    class Old(Node):
        def make_request(self, method: Any, params: Any) -> Any:
            return super().make_request(method, [*params[:2], old] if method == "eth_getProof" else params)

    with pytest.raises(ChainError, match="does not prove what it says of block"):
        world.verdict("bad", Old(world.node))


def test_a_proof_that_is_cut_short_proves_no_absence(world: World):
    def cut(method: str, answer: Any) -> Any:
        for proof in answer["result"]["storageProof"] if method == "eth_getProof" else ():
            proof["proof"] = proof["proof"][:-1]
        return answer

    for name in EXPECTED:
        with pytest.raises(ChainError, match="nodes of the state on the way to it are missing"):
            world.verdict(name, Node(world.node, alter=cut))


def test_a_node_of_another_chain_is_refused(world: World):
    def alter(method: str, answer: Any) -> Any:
        return {"result": "0x1"} if method == "eth_chainId" else answer

    for name in EXPECTED:
        with pytest.raises(ChainError, match="serves chain 1; the federation is on chain"):
            world.verdict(name, Node(world.node, alter=alter))


def test_a_state_that_is_made_up_around_other_code_is_refused(world: World):
    """A whole lie: a header with its hash, and under it a proven account at the contract's address."""
    account = rlp.encode([b"\1", b"", keccak(b"\x80"), keccak(b"code that approves everything")])
    # a tree of one leaf, whose path is the hash of the address: 64 nibbles, an even number
    leaf = rlp.encode([b"\x20" + keccak(world.where.domain.contract), account])

    def alter(method: str, answer: Any) -> Any:
        if method == "eth_getBlockByNumber":
            return {"result": with_its_hash(answer["result"] | {"stateRoot": "0x" + keccak(leaf).hex()})}
        if method == "eth_getProof":
            answer["result"]["accountProof"] = ["0x" + bytes(leaf).hex()]
        return answer

    for name in EXPECTED:
        with pytest.raises(ChainError, match="is not the federation's: its code differs"):
            world.verdict(name, Node(world.node, alter=alter))


@pytest.mark.parametrize("field", ["stateRoot", "number", "timestamp", "extraData", "baseFeePerGas", "requestsHash"])
def test_a_header_with_a_field_of_its_own_is_refused(world: World, field: str):
    def alter(method: str, answer: Any) -> Any:
        if method == "eth_getBlockByNumber":
            said = answer["result"][field]
            answer["result"][field] = "0x07" if field == "extraData" else said[:-1] + ("8" if said[-1] == "7" else "7")
        return answer

    with pytest.raises(ChainError, match=r"does not have the hash that is said of it|answers block"):
        world.verdict("good", Node(world.node, alter=alter))


def test_a_node_that_is_held_back_is_found_out_by_what_the_home_has_seen(world: World):
    manifest = world.manifest("bad")
    assert Judge(world.home, open_chain=lambda _: world.chain(Node(world.node))).judge(manifest).exit_code == 15
    world.node.finalized = world.while_approved
    try:
        with pytest.raises(ChainError, match=rf"the chain went back: .* its newest is {world.while_approved}"):
            Judge(world.home, open_chain=lambda _: world.chain(Node(world.node))).judge(manifest)
    finally:
        world.node.finalized = None


@pytest.mark.parametrize(
    "told",
    [
        {"error": {"code": -32005, "message": "limit exceeded"}},
        {"result": []},
        {"result": [{"topics": ["0x00"], "data": "0x", "blockNumber": "0x1"}]},
        {"result": [{"topics": [], "data": "0xzz"}]},
        {"result": "0x"},
    ],
)
def test_events_add_no_reason_and_take_none_away(world: World, told: Any):
    def alter(method: str, answer: Any) -> Any:
        return told if method == "eth_getLogs" else answer

    for name, code in EXPECTED.items():
        verdict = world.verdict(name, Node(world.node, alter=alter))
        assert verdict.exit_code == code
        assert len(verdict.reasons) == bool(code)


def test_events_that_are_made_up_change_no_verdict(world: World):
    def each_others(method: str, answer: Any) -> Any:
        if method == "eth_getLogs" and answer["result"]:
            for log in answer["result"]:
                log["topics"] = [log["topics"][0], *reversed(log["topics"][1:])]
                log["data"] = log["data"][:-2]
        return answer

    for name, code in EXPECTED.items():
        assert world.verdict(name, Node(world.node, alter=each_others)).exit_code == code


# --- several nodes ---------------------------------------------------------------------------------------------------


def silent(method: str, answer: Any) -> Any:
    raise TimeoutError


def elsewhere(method: str, answer: Any) -> Any:
    """A header of one's own making, whole in itself: an empty state, and the hash that it has."""
    if method == "eth_getBlockByNumber":
        block: dict[str, Any] = answer["result"]
        block["stateRoot"] = "0x" + keccak(b"\x80").hex()
        return {"result": with_its_hash(block)}
    return answer


def far_ahead(method: str, answer: Any) -> Any:
    if method == "eth_getBlockByNumber":
        return {"result": with_its_hash(answer["result"] | {"number": hex(10**9)})}
    return answer


def with_its_hash(block: dict[str, Any]) -> dict[str, Any]:
    """A block of py-evm's whose hash is that of its fields: Prague's, all of them."""
    numbers = {
        "difficulty",
        "number",
        "gasLimit",
        "gasUsed",
        "timestamp",
        "baseFeePerGas",
        "blobGasUsed",
        "excessBlobGas",
    }
    fields: list[Any] = [
        int(block[name], 16) if name in numbers else bytes.fromhex(block[name][2:])
        for name in FIELDS.values()
        if name in block
    ]
    return block | {"hash": "0x" + keccak(rlp.encode(fields)).hex()}


def test_one_node_alone_can_make_up_a_chain_and_that_is_what_agreement_is_for(world: World):
    with pytest.raises(ChainError, match="there is no contract"):
        world.verdict("good", Node(world.node, "liar", elsewhere))


@pytest.mark.parametrize("lie", [silent, elsewhere, far_ahead], ids=lambda lie: lie.__name__)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_three_nodes_changes_nothing(world: World, lie: Alter, place: int):
    nodes = [Node(world.node, f"node{at}", lie if at == place else lambda _, answer: answer) for at in range(3)]
    for name, code in EXPECTED.items():
        verdict = world.verdict(name, *nodes, agree=2)
        assert verdict.exit_code == code
        assert "2 of 3 nodes that agree" in verdict.facts["basis"]
        assert f"node{place}" not in verdict.facts["basis"]


def test_a_node_that_is_behind_is_waited_for_by_nobody(world: World):
    class Behind(Node):
        def make_request(self, method: Any, params: Any) -> Any:
            behind = [hex(world.while_approved), False] if params[:1] == ["finalized"] else params
            return super().make_request(method, behind)

    nodes = [Behind(world.node, "behind"), Node(world.node, "one"), Node(world.node, "two")]
    assert world.verdict("bad", *nodes, agree=2).exit_code == 15
    # with all three, the newest block that all three have is the one before the revocation: it is what they agree on
    assert world.verdict("bad", *nodes, agree=3).facts["as_of_block"] == world.while_approved


def test_one_of_three_nodes_cannot_make_what_is_final_look_open(world: World):
    class NoneFinal(Node):
        def make_request(self, method: Any, params: Any) -> Any:
            if params[:1] == ["finalized"]:
                return {"error": {"code": -39001, "message": "unknown block"}}
            return super().make_request(method, params)

    nodes = [NoneFinal(world.node, "none"), Node(world.node, "one"), Node(world.node, "two")]
    assert world.chain(*nodes, agree=2).snapshot().final
    assert not world.chain(*nodes[:2], agree=2).snapshot().final


def test_fewer_than_must_agree_is_no_answer_and_says_who_said_what(world: World):
    nodes = [Node(world.node, "one"), Node(world.node, "two", elsewhere), Node(world.node, "three", silent)]
    with pytest.raises(
        ChainError, match=r"2 of 3 nodes must agree .* one:8545 has block \d+, 0x.*; two:8545"
    ) as caught:
        world.verdict("good", *nodes, agree=2)
    assert "three:8545 does not answer" in str(caught.value)
    assert not isinstance(caught.value, UnreachableError), "there was a contradiction: no kept proof stands in"
    with pytest.raises(UnreachableError):
        world.verdict("good", Node(world.node, "one"), nodes[2], agree=2)
    assert "key" not in str(caught.value), "what may be a secret in a URL is not shown"


def test_a_node_whose_proofs_do_not_hold_is_passed_over(world: World):
    def nothing(method: str, answer: Any) -> Any:
        return {"result": {"accountProof": [], "storageProof": []}} if method == "eth_getProof" else answer

    nodes = [Node(world.node, "one", nothing), Node(world.node, "two", nothing), Node(world.node, "three")]
    for name, code in EXPECTED.items():
        assert world.verdict(name, *nodes, agree=3).exit_code == code


def test_a_node_without_the_checkpoint_is_not_counted(world: World):
    chain = world.chain(Node(world.node))
    snapshot = chain.snapshot()
    known = Checkpoint(snapshot.block, keccak(snapshot.header))
    assert world.verdict("good", Node(world.node), checkpoint=known).approved
    with pytest.raises(ChainError, match=f"has another block {known.number} than the checkpoint 0xaaaa"):
        world.verdict("good", Node(world.node), checkpoint=Checkpoint(known.number, b"\xaa" * 32))


def test_the_same_node_twice_is_one_voice(world: World):
    with pytest.raises(ChainError, match="named twice"):
        world.chain(Node(world.node), Node(world.node), agree=2)
    again = Node(world.node, "honest")
    again.endpoint_uri = "http://me:secret@HONEST.:8545/key/"
    with pytest.raises(ChainError, match="named twice"):
        world.chain(Node(world.node), again, agree=2)
    with pytest.raises(ChainError, match="3 of 2 nodes cannot agree"):
        world.chain(Node(world.node, "a"), Node(world.node, "b"), agree=3)


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [15, 16, 17, 20, 21], ids=["Paris", "London", "Shanghai", "Cancun", "Prague"])
def test_a_headers_hash_is_that_of_its_forks_fields(world: World, last: int):
    block: dict[str, Any] = Node(world.node).make_request("eth_getBlockByNumber", ["latest", False])["result"]
    later = [
        "baseFeePerGas",
        "withdrawalsRoot",
        "blobGasUsed",
        "excessBlobGas",
        "parentBeaconBlockRoot",
        "requestsHash",
    ]
    for name in later[last - 15 :]:
        del block[name]
    block = with_its_hash(block)
    raw = header_bytes(block)
    assert "0x" + keccak(raw).hex() == block["hash"]
    assert len(rlp.decode(raw)) == last


def test_a_header_that_skips_a_fork_is_refused(world: World):
    block: dict[str, Any] = Node(world.node).make_request("eth_getBlockByNumber", ["latest", False])["result"]
    del block["withdrawalsRoot"]
    with pytest.raises(ValueError, match="withdrawalsRoot"):
        header_bytes(block)


# --- on the wire -----------------------------------------------------------------------------------------------------


def test_a_node_that_sends_a_byte_now_and_then_holds_nobody_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rpc_endpoint, "MOST_SECONDS", 0.3)
    with serving(lambda connection: drip(connection)) as url:
        start = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer"):
            rpc_endpoint.Endpoint(rpc_endpoint.HttpProvider(url)).ask("eth_chainId")
        assert time.monotonic() - start < 10


def drip(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
    with suppress(OSError):
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)


def test_a_kept_connection_that_the_node_closed_is_opened_again():
    answer = b'{"jsonrpc":"2.0","id":1,"result":"0x7"}'
    served: list[int] = []

    def once(connection: socket.socket) -> None:
        connection.recv(4096)
        served.append(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    with serving(once) as url:
        endpoint = rpc_endpoint.Endpoint(rpc_endpoint.HttpProvider(url))
        assert [endpoint.chain_id for _ in range(3)] == [7, 7, 7]
        assert len(served) == 3


def test_a_refusal_by_status_is_said_without_what_may_be_a_secret():
    def refuse(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")

    with (
        serving(refuse) as url,
        pytest.raises(UnreachableError, match=r"does not answer \(HTTP status 403\)") as caught,
    ):
        rpc_endpoint.Endpoint(rpc_endpoint.HttpProvider(url + "/a-secret-key")).ask("eth_chainId")
    assert "secret" not in str(caught.value)


def test_an_answer_that_is_beyond_all_measure_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rpc_endpoint, "_MAX_ANSWER", 1000)
    monkeypatch.setattr(rpc_endpoint, "_MAX_LOGS", 2000)
    answer = b'{"result":"%s"}' % (b"0" * 1500)

    def long(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    with serving(long) as url:
        with pytest.raises(ChainError, match="answers wrongly"):
            rpc_endpoint.Endpoint(rpc_endpoint.HttpProvider(url)).ask("eth_getProof")
        assert len(rpc_endpoint.Endpoint(rpc_endpoint.HttpProvider(url)).ask("eth_getLogs")) == 1500


def test_depth_cannot_be_hidden_in_another_encoding():
    answer = ('{"\u2201":0,"result":' + "[" * 500 + "]" * 500 + "}").encode("utf-16-be")

    def deep(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))

    with serving(deep) as url, pytest.raises(ChainError, match="answers wrongly"):
        rpc_endpoint.Endpoint(rpc_endpoint.HttpProvider(url)).ask("eth_chainId")


def test_a_node_that_repeats_the_key_in_its_url_is_not_quoted():
    class Tells:
        endpoint_uri = "https://me:pass%2Fword@node.example/v3/0123456789abcdef?token=a-long-secret-token"

        def make_request(self, method: Any, params: Any) -> Any:
            said = "0123456789abcdef of me, pass/word, a-long-secret-token may not"
            return {"error": {"code": 1, "message": f"project {said} do this"}}

    with pytest.raises(ChainError, match="refused: project … of …, …, … may not do this"):
        rpc_endpoint.Endpoint(Tells()).ask("eth_chainId")


@contextmanager
def serving(serve: Callable[[socket.socket], None]) -> Generator[str]:
    """The URL of a server that does this with each connection, and then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)
