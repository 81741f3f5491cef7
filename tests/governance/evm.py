"""Virtual machines for the contract's tests: py-evm in memory, which the embedded chain is made of, and anvil.

Both mine a call at the time they are told, in a block of its own; a call that is turned down leaves no trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from eth.db.atomic import AtomicDB
from eth_hash.auto import keccak
from web3.providers import BaseProvider
from web3.types import RPCEndpoint

from graphopt_governance.chains import embedded
from graphopt_governance.chains.founding_account import founding_account, founding_key
from graphopt_governance.chains.state_trie import Header, TrieStorage
from graphopt_governance.errors import ChainError
from graphopt_governance.protocol.action import word
from graphopt_governance.protocol.contract import Storage, artifact, revert_reason

from .ethereum_node import anvil

GAS = embedded.GAS_LIMIT // 2
_PAYER = "0x" + embedded.RELAYER.hex()


class TurnedDownError(Exception):
    """The contract turned an action down; the text is its reason."""


@dataclass(frozen=True)
class Mined:
    """A block with one call: its time, the gas that the call took, its events, and the contract it made."""

    time: int
    gas: int
    logs: list[tuple[list[bytes], bytes]]
    contract: bytes


class Evm(Protocol):
    """A chain with one contract, the one that `begin` makes."""

    def begin(self, chain_id: int, code: bytes, now: int) -> Mined:
        """Make the contract with this init code."""
        ...

    def execute(self, call: bytes, now: int) -> Mined:
        """Mine a call to the contract; TurnedDownError when it reverts."""
        ...

    def execute_on_forged_state(self, slot: int, value: int, call: bytes, now: int) -> None:
        """The same after `value` was put into the contract's storage; both are forgotten again."""
        ...

    def view(self, call: bytes, now: int) -> bytes:
        """What a call returns in a block that would come now; TurnedDownError when it reverts."""
        ...

    def storage(self, *, check_code: bool) -> Storage:
        """The contract's storage now."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class EmbeddedEvm:
    """py-evm over SQLite in memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.execute("CREATE TABLE nodes (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")

    def begin(self, chain_id: int, code: bytes, now: int) -> Mined:
        self._chain_id = chain_id
        mined = self._mined(embedded.deploy(self._db, chain_id, now, code))
        self._contract = mined.contract
        return mined

    def execute(self, call: bytes, now: int) -> Mined:
        self._db.execute("BEGIN")
        try:
            mined = self._mined(embedded.execute(self._db, self._chain_id, now, self._contract, call))
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return mined

    def execute_on_forged_state(self, slot: int, value: int, call: bytes, now: int) -> None:
        base: Any = AtomicDB(embedded.Nodes(self._db))
        chain = embedded.chain_class(self._chain_id)(base)
        header = embedded.next_header(chain, now)
        # a state that is not persisted leaves no trace
        state = chain.get_vm(header).state
        state.set_storage(self._contract, slot, value)
        relayed = embedded.relayed(chain, header, self._chain_id, self._contract, call)
        computation = state.apply_transaction(relayed)
        if computation.is_error:
            raise TurnedDownError(revert_reason(computation.output))

    def view(self, call: bytes, now: int) -> bytes:
        returned, output = embedded.view(self._db, self._chain_id, now, self._contract, call)
        if not returned:
            raise TurnedDownError(revert_reason(output))
        return output

    def storage(self, *, check_code: bool) -> Storage:
        return TrieStorage(self._node, self._header.state_root, self._contract, check_code=check_code)

    def close(self) -> None:
        self._db.close()

    def _node(self, key: bytes) -> bytes | None:
        row = self._db.execute("SELECT value FROM nodes WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _mined(self, outcome: embedded.Outcome) -> Mined:
        if outcome.error is not None:
            raise TurnedDownError(revert_reason(outcome.error))
        self._header = Header.decode(outcome.headers[-1][3])
        return Mined(self._header.time, outcome.gas, outcome.logs, outcome.contract)


class AnvilEvm:
    """A chain of anvil's, put back to its first block when it is closed."""

    def __init__(self, provider: BaseProvider, free: list[AnvilEvm]) -> None:
        self._provider = provider
        self._free = free
        # as on the embedded chain, so that the contract has the same address; anvil's own accounts would sign for the
        # chain id that it was started with
        self._pay_by(_PAYER)
        self._empty = self._ask("evm_snapshot")

    def begin(self, chain_id: int, code: bytes, now: int) -> Mined:
        self._ask("anvil_setChainId", chain_id)
        self._contract = None
        self._pay_by("0x" + founding_account(founding_key(chain_id, now, code)).hex())
        # as on the embedded chain, where the first block is made at `now` and the contract stands in the second
        mined = self.execute(code, now + 1)
        self._pay_by(_PAYER)
        self._contract = "0x" + mined.contract.hex()
        return mined

    def execute(self, call: bytes, now: int) -> Mined:
        self.view(call, now)
        digest = self._ask("eth_sendTransaction", self._transaction(call))
        self._ask("evm_mine")
        receipt = self._ask("eth_getTransactionReceipt", digest)
        if receipt["status"] != "0x1":
            raise AssertionError(f"what passed when simulated failed when it was mined: {receipt}")
        seconds = int(self._ask("eth_getBlockByNumber", receipt["blockNumber"], False)["timestamp"], 16)
        logs = [([_bytes(topic) for topic in log["topics"]], _bytes(log["data"])) for log in receipt["logs"]]
        return Mined(seconds, int(receipt["gasUsed"], 16), logs, _bytes(receipt["contractAddress"] or "0x"))

    def execute_on_forged_state(self, slot: int, value: int, call: bytes, now: int) -> None:
        before = self._ask("evm_snapshot")
        self._ask("anvil_setStorageAt", self._contract, hex(slot), "0x" + word(value).hex())
        try:
            self.execute(call, now)
        finally:
            self._ask("evm_revert", before)

    def view(self, call: bytes, now: int) -> bytes:
        self._ask("evm_setNextBlockTimestamp", now)
        return _bytes(self._ask("eth_call", self._transaction(call), "pending"))

    def storage(self, *, check_code: bool) -> Storage:
        code = _bytes(self._ask("eth_getCode", self._contract, "latest"))
        if check_code and keccak(code).hex() != artifact()["code_hash"]:
            raise ChainError("the contract is not the federation's")
        return self

    def slot(self, key: int) -> int:
        """The word at `key`."""
        return int(self._ask("eth_getStorageAt", self._contract, hex(key), "latest"), 16)

    def expect(self, keys: Sequence[int]) -> None:
        """Nothing: each word is asked for when it is wanted."""

    def close(self) -> None:
        self._ask("evm_revert", self._empty)
        self._empty = self._ask("evm_snapshot")
        self._free.append(self)

    def _pay_by(self, account: str) -> None:
        self._payer = account
        self._ask("anvil_impersonateAccount", account)
        self._ask("anvil_setBalance", account, hex(10**24))

    def _transaction(self, call: bytes) -> dict[str, Any]:
        transaction = {"from": self._payer, "gas": hex(GAS), "data": "0x" + call.hex()}
        return transaction if self._contract is None else transaction | {"to": self._contract}

    def _ask(self, method: str, *params: Any) -> Any:
        answer: Any = self._provider.make_request(RPCEndpoint(method), list(params))
        if (error := answer.get("error")) is None:
            return answer["result"]
        if "revert" in error["message"]:
            raise TurnedDownError(revert_reason(_bytes(error.get("data") or "0x")))
        raise AssertionError(f"anvil refused {method}: {error}")


@contextmanager
def anvils() -> Generator[Any]:
    """A function that lends a chain of its own each time; what was given back is lent again."""
    free: list[AnvilEvm] = []
    with ExitStack() as running:

        def borrowed() -> AnvilEvm:
            if free:
                return free.pop()
            # the first block is older than what any test calls now
            options = ("--hardfork", "prague", "--no-mining", "--timestamp", "1700000000")
            return AnvilEvm(running.enter_context(anvil(*options)), free)

        yield borrowed


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
