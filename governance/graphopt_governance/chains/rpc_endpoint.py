"""An Ethereum node asked over JSON-RPC, with one sentence for whatever goes wrong; nothing it says is believed here.

The standard library does: web3, which takes a second to import, is for sending alone (`rpc_node`).
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from graphopt import strict_json
from graphopt_governance.chains.block_header import quantity
from graphopt_governance.errors import ChainError, UnreachableError
from graphopt_governance.wording import printable

_TIMEOUT_SECONDS = 20
MOST_SECONDS = 30.0
"""For one whole answer: a node that sends a byte now and then must not hold up those that answer."""
_MAX_ANSWER = 4 * 2**20
_MAX_LOGS = 64 * 2**20
"""Of JSON, which takes twenty times that in memory: only a federation's history is long."""
_MAX_SENTENCE = 200
_SECRET = 12
"""From how many characters on a part of a URL may be a key."""


class Provider(Protocol):
    """What carries a question to a node: web3's providers do, and `HttpProvider`."""

    def make_request(self, method: Any, params: Any) -> Any:
        """The node's answer as an object of JSON-RPC 2.0, with a result or an error."""
        ...


def provider_at(url: str) -> HttpProvider:
    """The node at `url`, which begins with http:// or https://; nothing is asked of it yet."""
    if not _is_node(url):
        raise ChainError("a chain is named by its node's URL, http://HOST:PORT or https://HOST/PATH")
    return HttpProvider(url)


def _is_node(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        # a port that is none, or half an IPv6 address
        return False


class RefusedByNodeError(ChainError):
    """A node answered a question with an error; `code` is JSON-RPC's number for it, `message` the node's words."""

    def __init__(self, node: str, code: object, message: str) -> None:
        super().__init__(f"the node at {node} refused: {message}")
        self.code = code
        self.message = message


class Endpoint:
    """The node that `provider` reaches; `name` is its host and port, without what may be a secret."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        # no path: that is where a key for a hosted node would be
        url = urlsplit(str(getattr(provider, "endpoint_uri", "")))
        port = f":{url.port}" if url.port else ""
        self.name = f"{url.hostname}{port}" if url.hostname else "hand"

    @property
    def place(self) -> tuple[object, ...]:
        """Where the node is, the same however its URL is spelled; the account in front of the host does not count."""
        url = urlsplit(str(getattr(self.provider, "endpoint_uri", "")))
        if not url.hostname:
            return (id(self.provider),)
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        return url.scheme, url.hostname.rstrip("."), port, url.path.rstrip("/"), url.query

    def ask(self, method: str, *params: object) -> Any:
        """The result that the node gives; UnreachableError when none comes, ChainError when it is an error or none."""
        try:
            answer = self.provider.make_request(method, list(params))
        except _Status as error:
            raise UnreachableError(self._silent(f" (HTTP status {error.status})")) from error
        except (OSError, TimeoutError, http.client.HTTPException) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            raise UnreachableError(self._silent("" if status is None else f" (HTTP status {status})")) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self.answers_wrongly() from error
        if not isinstance(answer, Mapping):
            raise self.answers_wrongly()
        fields = cast("Mapping[str, Any]", answer)
        if (error := fields.get("error")) is not None:
            detail = cast("Mapping[str, Any]", error) if isinstance(error, Mapping) else {}
            message = printable(self._without_secrets(str(detail.get("message") or "no reason given")))[:_MAX_SENTENCE]
            raise RefusedByNodeError(self.name, detail.get("code"), message)
        if "result" not in fields:
            raise self.answers_wrongly()
        return fields["result"]

    @property
    def chain_id(self) -> int:
        """Which chain the node says it serves."""
        try:
            return quantity(self.ask("eth_chainId"))
        except ValueError as error:
            raise self.answers_wrongly() from error

    def answers_wrongly(self) -> ChainError:
        """The error for an answer that is none."""
        return ChainError(f"what answers at {self.name} is no Ethereum node, or answers wrongly")

    def _without_secrets(self, text: str) -> str:
        """What a node says, less what it was told in its URL: some say which key was wrong."""
        url = urlsplit(str(getattr(self.provider, "endpoint_uri", "")))
        told = [part for part in re.split("[/?&=]", f"{url.path}?{url.query}") if len(part) >= _SECRET]
        for secret in (*told, url.password, url.username):
            if secret:
                text = text.replace(unquote(secret), "…").replace(secret, "…")
        return text

    def _silent(self, why: str) -> str:
        return f"the node at {self.name} does not answer{why}; nothing is approved unasked"


class _Status(Exception):  # noqa: N818 - an answer, not an error of ours
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class HttpProvider:
    """A node behind HTTP, over one connection that is kept, through the environment's proxies."""

    def __init__(self, url: str) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self.endpoint_uri = url
        parts = urlsplit(url)
        self._path = parts.path + (f"?{parts.query}" if parts.query else "") or "/"
        self._headers = {"Content-Type": "application/json", "User-Agent": "graphopt"}
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
        self._process = os.getpid()
        self._lock = threading.Lock()

    def make_request(self, method: Any, params: Any) -> Any:
        """The node's answer; OSError when it gives none, ValueError when that is no JSON."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        most = _MAX_LOGS if method == "eth_getLogs" else _MAX_ANSWER
        if self._process != os.getpid():
            # forked: on one connection our answers and the other process's would mix, and who held the lock is gone
            self.close()
            self._process, self._lock = os.getpid(), threading.Lock()
        with self._lock:
            kept = self._connection is not None
            try:
                return self._in_time(body, most)
            except (http.client.HTTPException, ConnectionError):
                if not kept:
                    raise
                # the node closed what was kept; what only reads may be asked twice
                return self._in_time(body, most)

    def close(self) -> None:
        """Give the connection back; the next question opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def _in_time(self, body: bytes, most: int) -> Any:
        self._connection = self._connection or self._connect()
        alarm = threading.Timer(MOST_SECONDS, _hang_up, [self._connection])
        alarm.daemon = True
        alarm.start()
        try:
            return self._exchange(self._connection, body, most)
        except BaseException:
            # what is left of this answer must not be taken for the next one
            self.close()
            raise
        finally:
            alarm.cancel()

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes, most: int) -> Any:
        connection.request("POST", self._path, body, self._headers)
        response = connection.getresponse()
        data = response.read(most + 1)
        if response.length and len(data) <= most:
            raise http.client.IncompleteRead(data, response.length)
        if response.status != 200 and not data.startswith(b"{"):
            raise _Status(response.status)
        if len(data) > most or strict_json.is_deeper(data, strict_json.MAX_DEPTH):
            raise ValueError("the answer is too large")
        # as UTF-8 and nothing else: of UTF-16 the depth is not what it seems
        return json.loads(data.decode())

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.endpoint_uri)
        host, secure = parts.hostname or "", parts.scheme == "https"
        proxy = urlsplit(getproxies().get(parts.scheme, ""))
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        if not proxy.hostname or proxy_bypass(host):
            return kind(host, parts.port, timeout=_TIMEOUT_SECONDS)
        connection = kind(proxy.hostname, proxy.port, timeout=_TIMEOUT_SECONDS)
        if secure:
            connection.set_tunnel(host, parts.port)
        else:
            # a proxy is given the whole address; the account in front of the host is in the headers
            self._path = f"http://{parts.netloc.rpartition('@')[2]}{self._path}" if self._path[0] == "/" else self._path
        return connection


def _hang_up(connection: http.client.HTTPConnection) -> None:
    if isinstance(connection.sock, socket.socket):
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
