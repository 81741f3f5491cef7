"""An Ethereum node asked over JSON-RPC, with one sentence for whatever goes wrong; nothing it says is believed here.

The standard library does, for reading, and for sending underneath web3: no redirect is followed, no answer is longer
than is asked for, and none takes longer than is allowed.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from graphopt import strict_json
from graphopt_governance.chains.block_header import quantity
from graphopt_governance.chains.time_limit import seconds_left
from graphopt_governance.errors import ChainError, UnreachableError
from graphopt_governance.wording import printable

_TIMEOUT_SECONDS = 20
MOST_SECONDS = 30.0
"""For one whole answer: a node that sends a byte now and then must not hold up those that answer."""
_MAX_ANSWER = 4 * 2**20
_MAX_LOGS = 4 * 2**20
"""Of JSON, which takes twenty times that in memory; a longer history comes in parts."""
_MOST_IDLE = 4
"""Connections to one node that are kept for the next question."""
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
    """A node answered a question with an error.

    `code` is JSON-RPC's number for it, `message` the node's words, `data` what it adds: of a call that was turned
    down, what that returned.
    """

    def __init__(self, node: str, code: object, message: str, data: object = None) -> None:
        super().__init__(f"the node at {node} refused: {message}")
        self.code = code
        self.message = message
        self.data = data


class TooLongError(ChainError):
    """A node's answer is longer than what is taken of it; less may be asked for."""


class Debts:
    """How many answers a node owes to those who do not wait for them any more; none in a process that was forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process, self._count = os.getpid(), 0

    @property
    def count(self) -> int:
        """The number of them."""
        return self._count if self._process == os.getpid() else 0

    def add(self, change: int) -> None:
        """One more, or one less."""
        if self._process != os.getpid():
            self._process, self._count, self._lock = os.getpid(), 0, threading.Lock()
        with self._lock:
            self._count = max(0, self._count + change)


class Endpoint:
    """The node that `provider` reaches; `name` is its host and port, without what may be a secret."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        # no path: that is where a key for a hosted node would be
        url = urlsplit(str(getattr(provider, "endpoint_uri", "")))
        port = f":{url.port}" if url.port else ""
        self.name = f"{url.hostname}{port}" if url.hostname else "hand"
        self.debts = Debts()
        self._addresses = _literal(url.hostname)

    def is_same_node(self, other: Endpoint) -> bool:
        """Whether both reach one node, however its URLs are spelled: the account in front of the host does not count.

        By host name or address; names are compared by what they resolve to once `resolve` has asked.  Another port, or
        another path, may be another node.
        """
        if self._door != other._door:
            return False
        return self._host == other._host or bool(self._addresses & other._addresses)

    def resolve(self) -> None:
        """Find out which addresses the host's name stands for; where nobody knows, it is compared by name alone."""
        if self._addresses or not self._host:
            return
        with suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
            self._addresses = frozenset(_plain(str(entry[4][0])) for entry in found)

    @property
    def _host(self) -> str:
        return (urlsplit(str(getattr(self.provider, "endpoint_uri", ""))).hostname or "").rstrip(".")

    @property
    def _door(self) -> tuple[object, ...]:
        url = urlsplit(str(getattr(self.provider, "endpoint_uri", "")))
        if not url.hostname:
            return (id(self.provider),)
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        return port, unquote(url.path).strip("/"), url.query

    def ask(self, method: str, *params: object, most: int | None = None) -> Any:
        """The result that the node gives; UnreachableError when none comes, ChainError when it is an error or none.

        `most`: of how many bytes the answer may be, where that is less than what the method's answers may be anyway.
        """
        try:
            if isinstance(self.provider, HttpProvider):
                answer = self.provider.make_request(method, list(params), most)
            else:
                answer = self.provider.make_request(method, list(params))
        except _Status as error:
            raise self.unanswered(f" (HTTP status {error.status})") from error
        except (OSError, TimeoutError, http.client.HTTPException) as error:
            status = getattr(getattr(error, "response", None), "status_code", None)
            raise self.unanswered("" if status is None else f" (HTTP status {status})") from error
        except _TooLong as error:
            raise TooLongError(str(self.answers_wrongly())) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self.answers_wrongly() from error
        if not isinstance(answer, Mapping):
            raise self.answers_wrongly()
        fields = cast("Mapping[str, Any]", answer)
        if (error := fields.get("error")) is not None:
            detail = cast("Mapping[str, Any]", error) if isinstance(error, Mapping) else {}
            message = printable(self._without_secrets(str(detail.get("message") or "no reason given")))[:_MAX_SENTENCE]
            raise RefusedByNodeError(self.name, detail.get("code"), message, detail.get("data"))
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

    def unanswered(self, why: str) -> UnreachableError:
        """The error for an answer that did not come."""
        return UnreachableError(f"the node at {self.name} does not answer{why}; nothing is approved unasked")

    def _without_secrets(self, text: str) -> str:
        """What a node says, less what it was told in its URL: some say which key was wrong."""
        url = urlsplit(str(getattr(self.provider, "endpoint_uri", "")))
        told = [part for part in re.split("[/?&=]", f"{url.path}?{url.query}") if len(part) >= _SECRET]
        for secret in (*told, url.password, url.username):
            if secret:
                text = text.replace(unquote(secret), "…").replace(secret, "…")
        return text


class _Status(Exception):  # noqa: N818 - an answer, not an error of ours
    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _TooLong(ValueError):  # noqa: N818 - likewise
    pass


class HttpProvider:
    """A node behind HTTP, over connections that are kept, through the environment's proxies; for any thread."""

    def __init__(self, url: str) -> None:
        self._idle: list[http.client.HTTPConnection] = []
        self.endpoint_uri = url
        parts = urlsplit(url)
        self._path = parts.path + (f"?{parts.query}" if parts.query else "") or "/"
        self._headers = {"Content-Type": "application/json", "User-Agent": "graphopt"}
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(secret).decode()}"
        self._process = os.getpid()

    def make_request(self, method: Any, params: Any, most: int | None = None) -> Any:
        """The node's answer, of at most `most` bytes; OSError when it gives none, ValueError when that is no JSON."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        limit = _MAX_LOGS if method == "eth_getLogs" else _MAX_ANSWER
        limit = limit if most is None else min(limit, most)
        if self._process != os.getpid():
            # forked: on one connection our answers and the other process's would mix
            self.close()
            self._process = os.getpid()
        try:
            kept = self._idle.pop()
        except IndexError:
            return self._in_time(self._connect(), body, limit)
        began = time.monotonic()
        try:
            return self._in_time(kept, body, limit)
        except (http.client.HTTPException, ConnectionError):
            if time.monotonic() - began > MOST_SECONDS / 2:
                raise
            # the node had closed what was kept; all that is asked may be asked twice, and a transaction sent twice
            self.close()
            return self._in_time(self._connect(), body, limit)

    def close(self) -> None:
        """Give the connections back; the next question opens another."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        self.close()

    def _in_time(self, connection: http.client.HTTPConnection, body: bytes, most: int) -> Any:
        if not (seconds := seconds_left(MOST_SECONDS)):
            connection.close()
            raise TimeoutError
        connection.timeout = min(_TIMEOUT_SECONDS, seconds)
        sockets, end = [connection.sock], time.monotonic() + seconds
        alarm = threading.Timer(seconds, _hang_up, [sockets])
        alarm.daemon = True
        alarm.start()
        try:
            if connection.sock is None:
                connection.connect()
            # a node that closes after its answer leaves the connection without it
            sockets.append(connection.sock)
            answer = self._exchange(connection, body, most)
        except BaseException as error:
            # what is left of this answer must not be taken for the next one
            connection.close()
            if isinstance(error, Exception) and time.monotonic() >= end:
                # what came until it was hung up on may look like anything
                raise TimeoutError from error
            raise
        finally:
            alarm.cancel()
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _exchange(self, connection: http.client.HTTPConnection, body: bytes, most: int) -> Any:
        connection.request("POST", self._path, body, self._headers)
        with connection.getresponse() as response:
            data = response.read(most + 1)
            if response.length and len(data) <= most:
                raise http.client.IncompleteRead(data, response.length)
        # a redirect is not followed: who is asked is whom the URL names
        if response.status != 200 and (300 <= response.status < 400 or not data.startswith(b"{")):
            raise _Status(response.status)
        if len(data) > most:
            raise _TooLong("the answer is too long")
        if strict_json.is_deeper(data, strict_json.MAX_DEPTH):
            raise ValueError("the answer is too deep")
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


def _hang_up(sockets: list[Any]) -> None:
    for connected in sockets:
        if isinstance(connected, socket.socket):
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)


def _literal(host: str | None) -> frozenset[str]:
    """The address that a host is where it is written as one, in any spelling; none where it is a name."""
    name = (host or "").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return frozenset({_LOOPBACK})
    with suppress(OSError, ValueError):
        # 127.1, 2130706433, 0x7f.0.0.1: whatever the system takes for an address without asking anybody
        return frozenset({_plain(socket.inet_ntoa(socket.inet_aton(name)))})
    with suppress(ValueError):
        return frozenset({_plain(name)})
    return frozenset()


def _plain(address: str) -> str:
    """An address in one spelling; this machine's own are one."""
    found = ipaddress.ip_address(address.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    return _LOOPBACK if found.is_loopback or found.is_unspecified else str(found)


_LOOPBACK = "loopback"
