"""Nodes of real Ethereum chains for tests: eth-tester's in this process, and anvil's behind HTTP."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_hash.auto import keccak
from eth_tester.exceptions import TransactionFailed
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from web3 import EthereumTesterProvider, HTTPProvider, Web3
from web3.datastructures import NamedElementOnion
from web3.middleware import combine_middleware
from web3.providers import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from .wire import header_json, log_json, proof_json

_FEES = ("maxFeePerGas", "maxPriorityFeePerGas")


class InProcessNode(EthereumTesterProvider):
    """py-evm behind web3's in-process provider, answering as a node on the wire does."""

    finalized: int | None = None
    """The finalized block; the newest when it is None."""
    no_finality: tuple[int, str] | None = None
    """The error with which the finalized block is refused, where it is."""
    simulates = True
    """Whether calls are simulated; a node that does not says that all would pass."""
    waiting: dict[int, bytes] | None = None
    """Where it is not None, what is sent waits here, by nonce, until `evm_mine`, as where blocks take their time."""
    before: Callable[[str, Any], None] | None = None
    """Told of each request before it is answered."""
    gas_prices = False
    """Whether blocks have no base fee, as on older chains."""

    def request_func(self, w3: Web3, middleware_onion: Any) -> Callable[..., RPCResponse]:
        """What web3 calls, behind the middleware that eth-tester's own spelling needs."""
        middleware = (*middleware_onion.as_tuple_of_middleware(), *self._middleware)
        return combine_middleware(middleware, w3, self.answer_web3)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """The answer as it is on the wire, for who asks without web3."""
        assert json.loads(json.dumps(params)) == params
        try:
            result = self._on_wire(method, params)
        except _Refused as refused:
            return refused.args[0]
        return cast("RPCResponse", json.loads(json.dumps({"jsonrpc": "2.0", "id": 1, "result": result})))

    def _on_wire(self, method: str, params: Any) -> Any:
        chain: Any = self._tester.backend.chain
        newest = int(chain.get_canonical_head().block_number)
        match method:
            case "eth_chainId":
                return hex(chain.chain_id)
            case "eth_getBlockByNumber":
                number = newest if params[0] in ("latest", "finalized") else int(str(params[0]), 16)
                if params[0] == "finalized":
                    if self.no_finality is not None:
                        raise _Refused(_error(*self.no_finality))
                    number = newest if self.finalized is None else self.finalized
                if number > newest:
                    return None
                told = header_json(self._header(number))
                if self.gas_prices and params[0] == "latest":
                    del told["baseFeePerGas"]
                return told
            case "eth_getProof":
                header = self._header(int(params[2], 16))
                address = bytes.fromhex(params[0][2:])
                return proof_json(chain.chaindb.db, header.state_root, address, params[1])
            case "eth_getLogs":
                span = {"from_block": int(params[0]["fromBlock"], 16), "to_block": int(params[0]["toBlock"], 16)}
                address = Web3.to_checksum_address(params[0]["address"])
                logs = self._tester.get_logs(**span, address=address, topics=params[0]["topics"])
                return [log_json(log) for log in logs]
            case _:
                answer = cast("Any", self.request_func(Web3(self), NamedElementOnion([]))(RPCEndpoint(method), params))
                if "error" in answer:
                    raise _Refused(answer)
                return _spelled(answer["result"])

    @property
    def _tester(self) -> Any:
        return self.ethereum_tester

    def _header(self, number: int) -> Any:
        return self._tester.backend.chain.get_canonical_block_header_by_number(number)

    def answer_web3(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """The answer of eth-tester; what it raises in this process is the error that a node would send."""
        if self.before is not None:
            self.before(method, params)
        if self.waiting is not None and (answer := self._pool(self.waiting, method, params)) is not None:
            return answer
        return self._answer(method, params)

    def _pool(self, waiting: dict[int, bytes], method: str, params: Any) -> RPCResponse | None:
        """The answer where it depends on what waits for a block."""
        match method:
            case "eth_sendRawTransaction":
                raw = bytes(HexBytes(params[0]))
                sent = _fields(raw)
                if sent["nonce"] < Web3(self).eth.get_transaction_count(Account.recover_transaction(raw)):
                    return _error(-32000, "nonce too low")
                if (old := waiting.get(sent["nonce"])) == raw:
                    return _error(-32000, "already known")
                if old is not None and any(10 * sent[fee] < 11 * _fields(old)[fee] for fee in _FEES):
                    return _error(-32000, "replacement transaction underpriced")
                waiting[sent["nonce"]] = raw
                return _result("0x" + keccak(raw).hex())
            case "eth_getTransactionByHash" if any(_is(raw, params[0]) for raw in waiting.values()):
                return _result({"hash": params[0]})
            case "evm_mine" if waiting:
                raw = waiting.pop(min(waiting))
                return self._answer(RPCEndpoint("eth_sendRawTransaction"), ["0x" + raw.hex()])
            case _:
                return None

    def _answer(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if method == "eth_getBlockByNumber" and params[0] == "finalized":
            if self.no_finality is not None:
                return _error(*self.no_finality)
            if self.finalized is not None:
                params = [self.finalized, *params[1:]]
        if method == "eth_getTransactionCount" and str(params[1]).startswith("0x"):
            params = [params[0], int(params[1], 16)]
        if not self.simulates and method in ("eth_call", "eth_estimateGas"):
            return _result("0x" if method == "eth_call" else 10**6)
        try:
            return EthereumTesterProvider.make_request(self, method, params)
        except TransactionFailed as error:
            return _error(3, f"execution reverted: {error}")
        except ValidationError as error:
            return _error(-32000, str(error))


class _Refused(Exception):  # noqa: N818 - an answer
    pass


def fund(provider: BaseProvider, account: bytes) -> None:
    """Give `account` an ether."""
    web3 = Web3(provider)
    rich = web3.eth.accounts[0]
    value = Web3.to_wei(1, "ether")
    sent = web3.eth.send_transaction({"from": rich, "to": Web3.to_checksum_address(account), "value": value})
    web3.eth.wait_for_transaction_receipt(sent, poll_latency=0.05)


@contextmanager
def anvil(*options: str) -> Generator[HTTPProvider]:
    """A running anvil: a block each second, final two blocks later, unless `options` say otherwise.

    The test is skipped where there is none.
    """
    program = os.environ.get("ANVIL") or shutil.which("anvil")
    if program is None:
        pytest.skip("there is no anvil: npm i @foundry-rs/anvil, and put it on the PATH or its path into ANVIL")
    # a file, not a pipe: anvil reports every request, and would wait for a reader
    with tempfile.NamedTemporaryFile() as said:
        command = [program, "--port", "0", *(options or ("--slots-in-an-epoch", "1", "--block-time", "1"))]
        # a session of its own: what npm installs is a script, whose end is not the end of what it started
        with subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, start_new_session=True) as process:
            try:
                yield HTTPProvider(f"http://{_listening(process, Path(said.name))}")
            finally:
                os.killpg(process.pid, signal.SIGKILL)


def _listening(process: subprocess.Popen[bytes], said: Path) -> str:
    """Host and port, as soon as it says so."""
    while True:
        text = said.read_text(errors="replace")
        if found := re.search(r"Listening on ([\d.]+:\d+)", text):
            return found[1]
        if process.poll() is not None:
            raise AssertionError("anvil did not start: " + text)
        time.sleep(0.01)


@contextmanager
def answering(answer: bytes) -> Generator[str]:
    """The URL of a server that gives `answer` to whatever is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _spelled(value: Any) -> Any:
    """A result of eth-tester's as it is on the wire."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, Mapping):
        return {name: _spelled(item) for name, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in cast("list[Any]", value)]
    return hex(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _fields(raw: bytes) -> Any:
    return TypedTransaction.from_bytes(HexBytes(raw)).as_dict()


def _is(raw: bytes, digest: Any) -> bool:
    return keccak(raw) == bytes(HexBytes(digest))


def _result(value: Any) -> RPCResponse:
    return cast("RPCResponse", {"jsonrpc": "2.0", "id": 1, "result": value})


def _error(code: int, message: str) -> RPCResponse:
    return cast("RPCResponse", {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message}})
