"""Several nodes before one chain, each by a name of its own, some of which do not say what is so."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from graphopt_governance.chains.rpc_endpoint import Provider

from .ethereum_node import InProcessNode

Answer = Callable[[str, Any, Callable[[], Any]], Any]
"""From a method, its parameters, and what gives the chain's own answer, to the answer that is given."""


def honest(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    """What the chain says."""
    return ask()


def dead(method: str, params: Any, ask: Callable[[], Any]) -> Any:
    """Nothing, at once."""
    raise ConnectionRefusedError


def slow(seconds: float) -> Answer:
    """What the chain says, late."""

    def answer(method: str, params: Any, ask: Callable[[], Any]) -> Any:
        time.sleep(seconds)
        return ask()

    return answer


class OneAtATime:
    """py-evm's node, which several threads may ask."""

    def __init__(self, node: InProcessNode) -> None:
        self.node, self._lock = node, Lock()

    def make_request(self, method: Any, params: Any) -> Any:
        with self._lock:
            return self.node.make_request(method, params)


class Named:
    """A node at a URL of its own before `behind`; it remembers what it was asked."""

    def __init__(self, behind: Provider, name: str, answer: Answer = honest) -> None:
        self._behind, self._answer = behind, answer
        self.endpoint_uri = f"http://{name}.invalid:8545"
        self.asked: list[tuple[str, Any]] = []

    def make_request(self, method: Any, params: Any) -> Any:
        """The answer."""
        self.asked.append((method, params))

        def ask() -> Any:
            return json.loads(json.dumps(self._behind.make_request(method, params)))

        return self._answer(method, params, ask)


@contextmanager
def served(node: Named) -> Generator[str]:
    """The URL on this machine at which `node` answers, each question in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            request: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answer = node.make_request(request["method"], request["params"])
            except ConnectionRefusedError:
                self.close_connection = True
                return
            content = json.dumps({"jsonrpc": "2.0", "id": request["id"]} | dict(answer)).encode()
            with suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: who had enough hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Nodes(Mapping[str, Named]):
    """Nodes by their URLs, for `provider_at`."""

    def __init__(self, *nodes: Named) -> None:
        self._nodes = {node.endpoint_uri: node for node in nodes}

    @property
    def urls(self) -> str:
        """As they are named to graphopt."""
        return ",".join(self._nodes)

    def at(self, url: str) -> Named:
        """In the place of `provider_at`."""
        return self._nodes[url]

    def __getitem__(self, url: str) -> Named:
        return self._nodes[url]

    def __iter__(self) -> Any:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)
