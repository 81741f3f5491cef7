"""A node on the wire that kills who asks it: a process of its own, at a request that was chosen before."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Lock, Thread
from typing import Any

Answer = Callable[[str, Any], Any]
"""From a method and its parameters to the JSON-RPC response."""


class DeadlyNode:
    """Answers as `answer` does, and kills the next of `victims` at request `moment`, counted from 0.

    That is before the request is done, or `afterwards`.  `mine` is called after each look for a receipt, so that
    what is sent waits for a while.
    """

    def __init__(self, answer: Answer, mine: Callable[[], object]) -> None:
        self.answer = answer
        self.mine = mine
        self.asked: list[str] = []
        self.victims: Queue[int | None] = Queue()
        self.moment: int | None = None
        self.afterwards = False

    def handle(self, request: dict[str, Any]) -> bytes | None:
        """The answer; None where nobody is left to take it."""
        now = len(self.asked)
        self.asked.append(request["method"])
        if now == self.moment and not self.afterwards:
            return self._kill()
        response = self.answer(request["method"], request["params"])
        if request["method"] == "eth_getTransactionReceipt":
            self.mine()
        if now == self.moment:
            return self._kill()
        return json.dumps(dict(response) | {"id": request["id"]}, default=_plain).encode()

    def _kill(self) -> None:
        victim = self.victims.get(timeout=30)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)


@contextmanager
def on_the_wire(node: DeadlyNode) -> Generator[str]:
    """The URL at which `node` answers."""
    one_at_a_time = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            request: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with one_at_a_time:
                content = node.handle(request)
            self.close_connection = content is None
            if content is not None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return dict(value)
