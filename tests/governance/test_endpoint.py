"""One node on the wire: who it is, what is taken of its answers, and that nobody else is asked."""

from __future__ import annotations

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from graphopt_governance.chains import rpc_polling
from graphopt_governance.chains.rpc_agreement import Agreement
from graphopt_governance.chains.rpc_endpoint import Endpoint, HttpProvider
from graphopt_governance.chains.rpc_polling import first_of, poll
from graphopt_governance.chains.rpc_reading import Reader
from graphopt_governance.chains.time_limit import seconds_left, within
from graphopt_governance.errors import ChainError, UnreachableError
from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.contract import event_topic


def at(url: str) -> Endpoint:
    return Endpoint(HttpProvider(url))


HERE = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "localhost", "LOCALHOST.", "0"]


@pytest.mark.parametrize("one", HERE)
@pytest.mark.parametrize("other", HERE)
def test_one_address_is_one_voice_however_it_is_spelled(one: str, other: str):
    if one == other:
        return
    with pytest.raises(ChainError, match="the same node is named twice"):
        Agreement([at(f"http://{one}:8545"), at(f"http://me:secret@{other}:8545/")], 2, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8546"),
        ("http://192.0.2.1:8545", "http://192.0.2.2:8545"),
        ("https://node.example/one", "https://node.example/two"),
        ("http://192.0.2.1", "https://192.0.2.1"),
        ("http://one.example:8545", "http://127.0.0.1:8545"),
    ],
)
def test_another_address_port_or_path_may_be_another_node(one: str, other: str):
    Agreement([at(one), at(other)], 2, 1)


def test_names_that_stand_for_one_address_are_one_voice(monkeypatch: pytest.MonkeyPatch):
    def getaddrinfo(host: str, *_: Any, **__: Any) -> Any:
        found = {
            "one.example": ["192.0.2.1"],
            "two.example": ["192.0.2.7", "192.0.2.1"],
            "three.example": ["192.0.2.3"],
        }
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 0)) for address in found[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    nodes = [at(f"http://{name}.example:8545") for name in ("one", "two", "three")]
    for node in nodes:
        node.resolve()
    with pytest.raises(ChainError, match=r"named twice, as one\.example:8545 and as two\.example:8545"):
        Agreement(nodes[:2], 2, 1)
    Agreement(nodes[1:], 2, 1)


# --- who is asked ----------------------------------------------------------------------------------------------------


@contextmanager
def answering(status: int, content: bytes, headers: dict[str, str]) -> Generator[tuple[str, list[str]]]:
    """A server that answers so to whatever is asked, and a list of what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("content", [b"", b'{"result":"0x1"}'])
@pytest.mark.parametrize("method", ["eth_chainId", "eth_sendRawTransaction", "eth_getTransactionReceipt"])
def test_no_redirect_is_followed_by_who_reads_or_sends(status: int, content: bytes, method: str):
    with answering(200, b'{"result":"0x7"}', {}) as (elsewhere, led_to):
        with (
            answering(status, content, {"Location": elsewhere}) as (url, asked),
            pytest.raises(UnreachableError, match=rf"does not answer \(HTTP status {status}\)"),
        ):
            at(url).ask(method, "0x")
        assert asked == ["POST /"]
        assert led_to == []


# --- how much of it --------------------------------------------------------------------------------------------------


def log(block: int, padding: int = 0) -> dict[str, Any]:
    topics = ["0x" + topic.hex() for topic in (event_topic("Revoked"), bytes(32))]
    return {"topics": topics, "data": "0x" + bytes(32).hex(), "blockNumber": hex(block), "more": "x" * padding}


class Telling:
    """A node whose contract has one event in each block, and which has as many bytes to say of each."""

    endpoint_uri = "http://node.invalid:8545"

    def __init__(self, padding: int = 0) -> None:
        self._padding = padding
        self.spans: list[tuple[int, int]] = []

    def make_request(self, method: Any, params: Any) -> Any:
        assert method == "eth_getLogs"
        first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
        self.spans.append((first, last))
        return {"result": [log(block, self._padding) for block in range(first, last + 1)]}


@contextmanager
def telling(node: Telling) -> Generator[Endpoint]:
    """`node` on the wire."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(node.make_request(request["method"], request["params"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Quiet(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: who has enough hangs up."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield at(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            thread.join()


class Undated(Reader):
    """A reader whose events are not dated: there are no blocks."""

    def __init__(self, endpoint: Endpoint, last: int) -> None:
        super().__init__([endpoint], Agreement([endpoint], 1, 1), Domain(1, bytes(20)), 1)
        self._height = last

    def _dated(self, events: Any, few: bool) -> Any:
        return events


def test_a_long_history_is_taken_in_parts_and_in_order():
    node = Telling(padding=10_000)
    with telling(node) as endpoint:
        events = Undated(endpoint, 1000).events()
    assert [event.block for event in events] == list(range(1, 1001))
    assert len(node.spans) > 3


def test_what_only_embellishes_is_taken_up_to_a_megabyte():
    node = Telling(padding=10_000)
    with telling(node) as endpoint, pytest.raises(ChainError, match="answers wrongly"):
        Undated(endpoint, 200).events("Revoked", bytes(32))
    assert len(node.spans) == 1, "nothing is asked for in parts that only embellishes"
    with telling(node) as endpoint:
        assert len(Undated(endpoint, 90).events("Revoked", bytes(32))) == 90


def test_an_answer_of_sixty_megabytes_takes_no_more_memory_than_a_short_one():
    content = b'{"result":[' + b",".join([b"[]"] * (20 * 2**20)) + b"]}"
    with answering(200, content, {}) as (url, _):
        endpoint = at(url)
        tracemalloc.start()
        try:
            with pytest.raises(ChainError):
                endpoint.ask("eth_getLogs", {})
            assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
        finally:
            tracemalloc.stop()


def test_events_outside_the_blocks_that_were_asked_about_are_none():
    class Elsewhere(Telling):
        def make_request(self, method: Any, params: Any) -> Any:
            return {"result": [log(10**9)]}

    with pytest.raises(ChainError, match="answers wrongly"):
        Undated(Endpoint(Elsewhere()), 100).events("Revoked", bytes(32))


# --- how long --------------------------------------------------------------------------------------------------------


class Waiting:
    """A node that answers after so many seconds."""

    def __init__(self, name: str, seconds: float) -> None:
        self.endpoint_uri, self._seconds = f"http://{name}.invalid", seconds

    def make_request(self, method: Any, params: Any) -> Any:
        time.sleep(self._seconds)
        return {"result": self.endpoint_uri}


def waiting(*seconds: float) -> list[Endpoint]:
    return [Endpoint(Waiting(f"node{at}", each)) for at, each in enumerate(seconds)]


def ask(endpoint: Endpoint) -> Any:
    return endpoint.ask("eth_blockNumber")


def test_nobody_is_waited_for_when_enough_have_said_the_same():
    begun = time.monotonic()
    heard = poll(waiting(30, 0, 0), 2, lambda endpoint: bool(ask(endpoint)))
    found = heard.alike(2)
    assert found is not None
    assert [endpoint.name for endpoint in found[1]] == ["node1.invalid", "node2.invalid"] or len(found[1]) == 2
    assert time.monotonic() - begun < 5


def test_who_can_prove_it_is_asked_when_the_first_takes_its_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rpc_polling, "HEDGE_SECONDS", 0.05)
    nodes = waiting(30, 0.01)
    begun = time.monotonic()
    assert first_of(nodes, ask) == "http://node1.invalid"
    # who owes an answer is asked last
    monkeypatch.setattr(rpc_polling, "HEDGE_SECONDS", 20.0)
    assert first_of(nodes, ask) == "http://node1.invalid"
    assert time.monotonic() - begun < 5


def test_a_node_that_owes_answers_is_not_asked_for_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rpc_polling, "HEDGE_SECONDS", 0.01)
    nodes = waiting(30, 0)
    before = set(threading.enumerate())  # nodes of other tests may still owe answers
    for _ in range(20):
        poll(nodes, 1, ask)
    assert nodes[0].debts.count <= 5
    assert sum(thread.name == "graphopt-node" for thread in set(threading.enumerate()) - before) <= 8


def test_a_limit_holds_for_all_that_is_asked_within_it():
    begun = time.monotonic()
    for nodes in (waiting(30), waiting(30, 30)):
        with within(0.2), pytest.raises(UnreachableError, match="in time"):
            first_of(nodes, ask)
        with within(0.2):
            assert len(poll(nodes, 1, ask).failures) == len(nodes)
    with within(0.3), within(60):
        assert seconds_left() < 0.4
    assert seconds_left(7) == 7
    assert time.monotonic() - begun < 5


def test_a_byte_now_and_then_on_a_connection_that_is_to_be_closed_holds_nobody_up():
    def drip(server: socket.socket) -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{")
                while True:
                    connection.sendall(b" ")
                    time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=[server])
        thread.start()
        begun = time.monotonic()
        with within(0.3), pytest.raises(UnreachableError):
            at(f"http://127.0.0.1:{server.getsockname()[1]}").ask("eth_chainId")
        assert time.monotonic() - begun < 5
        thread.join(10)
        assert not thread.is_alive(), "it is hung up on"


def test_a_limit_holds_on_the_wire():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = at(f"http://127.0.0.1:{silent.getsockname()[1]}")
        begun = time.monotonic()
        with within(0.3), pytest.raises(UnreachableError):
            endpoint.ask("eth_chainId")
        with within(0), pytest.raises(UnreachableError):
            endpoint.ask("eth_chainId")
        assert time.monotonic() - begun < 5
