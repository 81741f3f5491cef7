"""The Ethereum virtual machine of the embedded chain: py-evm over the tables of `ledger.py`.

Everything here happens inside the SQLite transaction of its caller and is undone with it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import rlp
from eth.chains.base import MiningChain
from eth.constants import (
    BLANK_ROOT_HASH,
    GENESIS_GAS_LIMIT,
    POST_MERGE_DIFFICULTY,
    POST_MERGE_MIX_HASH,
    POST_MERGE_NONCE,
)
from eth.db.atomic import AtomicDB
from eth.db.backends.base import BaseDB
from eth.exceptions import PyEVMError
from eth.vm.forks.prague import PragueVM
from eth_keys.datatypes import PrivateKey
from eth_utils.exceptions import ValidationError

from graphopt_governance.chains.founding_account import founding_key
from graphopt_governance.errors import ChainError

GAS_LIMIT = 30_000_000
_GAS_PRICE = 10**10
_FUNDS = 10**30

# Whoever relays an action pays its gas and has no other part in it.  Here gas costs nothing and the relayer's key is no
# secret: it is the same on every ledger, so that replaying a ledger's log gives the same blocks.
_RELAYER = PrivateKey(hashlib.sha256(b"graphopt: relayer of the embedded chain").digest())
RELAYER: bytes = _RELAYER.public_key.to_canonical_address()
"""The account that relays every action."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one transaction did: its block's headers and its events, or, in `error`, what it returned on reverting."""

    block: int = 0
    time: int = 0
    gas: int = 0
    contract: bytes = b""
    transaction: bytes = b""
    headers: list[tuple[int, bytes, int, bytes]] = field(default_factory=list[tuple[int, bytes, int, bytes]])
    logs: list[tuple[list[bytes], bytes]] = field(default_factory=list[tuple[list[bytes], bytes]])
    error: bytes | None = None


@contextmanager
def invalid_transactions(what: str) -> Generator[None]:
    """Turns what the machine refuses to execute at all (too much data, say) into a ChainError, `what` in front."""
    try:
        yield
    except (ValidationError, PyEVMError) as error:
        raise ChainError(f"{what}: {' '.join(str(error).split())[:200]}") from error


def deploy(db: sqlite3.Connection, chain_id: int, now: int, code: bytes) -> Outcome:
    """Begin a chain and create the contract in its first block, at the address of this founding and no other."""
    founder = PrivateKey(founding_key(chain_id, now, code))
    parameters = {
        "difficulty": POST_MERGE_DIFFICULTY,
        "mix_hash": POST_MERGE_MIX_HASH,
        "nonce": POST_MERGE_NONCE,
        "gas_limit": max(GAS_LIMIT, GENESIS_GAS_LIMIT),
        "receipt_root": BLANK_ROOT_HASH,
        "transaction_root": BLANK_ROOT_HASH,
        "timestamp": now,
        "extra_data": b"graphopt",
    }
    account = {"balance": _FUNDS, "nonce": 0, "code": b"", "storage": {}}
    base: Any = AtomicDB(Nodes(db))
    accounts = {RELAYER: account, founder.public_key.to_canonical_address(): account}
    chain = chain_class(chain_id).from_genesis(base, parameters, accounts)
    genesis = chain.get_canonical_head()
    return _mine(chain, chain_id, now, b"", code, [genesis], founder)


def execute(db: sqlite3.Connection, chain_id: int, now: int, contract: bytes, call: bytes) -> Outcome:
    """Mine one call to the contract."""
    base: Any = AtomicDB(Nodes(db))
    return _mine(chain_class(chain_id)(base), chain_id, now, contract, call, [])


def view(db: sqlite3.Connection, chain_id: int, now: int, contract: bytes, call: bytes) -> tuple[bool, bytes]:
    """What a view function of the contract returns, in a block that would come now; False when it reverts."""
    base: Any = AtomicDB(Nodes(db))
    chain = chain_class(chain_id)(base)
    header = next_header(chain, now)
    # a message without a transaction: nothing is signed, and a state that is not persisted leaves no trace
    vm = chain.get_vm(header)
    computation = vm.execute_bytecode(
        origin=RELAYER,
        gas_price=_GAS_PRICE,
        gas=GAS_LIMIT,
        to=contract,
        sender=RELAYER,
        value=0,
        data=call,
        code=vm.state.get_code(contract),
    )
    return not computation.is_error, bytes(computation.output)


def _mine(
    chain: Any, chain_id: int, now: int, to: bytes, data: bytes, headers: list[Any], sender: PrivateKey = _RELAYER
) -> Outcome:
    chain.header = next_header(chain, now)
    transaction = relayed(chain, chain.header, chain_id, to, data, sender)
    _, receipt, computation = chain.apply_transaction(transaction)
    if computation.is_error:
        return Outcome(error=bytes(computation.output))
    block = chain.mine_block()
    return Outcome(
        block=block.number,
        time=block.header.timestamp,
        gas=receipt.gas_used,
        contract=bytes(computation.msg.storage_address),
        transaction=transaction.encode(),
        headers=[_header(header) for header in [*headers, block.header]],
        logs=[([topic.to_bytes(32, "big") for topic in log.topics], bytes(log.data)) for log in receipt.logs],
    )


def next_header(chain: Any, now: int) -> Any:
    """The header that a block mined now would begin with."""
    head = chain.get_canonical_head()
    # block time is the clock's, but never stands still or goes back
    return chain.create_header_from_parent(head, timestamp=max(now, head.timestamp + 1))


def relayed(chain: Any, header: Any, chain_id: int, to: bytes, data: bytes, sender: PrivateKey = _RELAYER) -> Any:
    """The next transaction of the relayer, or of another sender."""
    state = chain.get_vm(header).state
    unsigned = chain.create_unsigned_transaction(
        nonce=state.get_nonce(sender.public_key.to_canonical_address()),
        gas_price=_GAS_PRICE,
        gas=GAS_LIMIT // 2,
        to=to,
        value=0,
        data=data,
    )
    return unsigned.as_signed_transaction(sender, chain_id=chain_id)


def _header(header: Any) -> tuple[int, bytes, int, bytes]:
    return header.block_number, bytes(header.hash), header.timestamp, bytes(rlp.encode(header))


class _EmbeddedChain(MiningChain):
    vm_configuration: ClassVar[Any] = ((0, PragueVM),)

    def create_header_from_parent(self, parent_header: Any, **header_params: Any) -> Any:
        # py-evm lets the limit drift towards use; here a block always has room for one transaction
        return super().create_header_from_parent(
            parent_header, **{"gas_limit": parent_header.gas_limit} | header_params
        )


def chain_class(chain_id: int) -> Any:
    """The class of an embedded chain with this id."""
    return type("EmbeddedChain", (_EmbeddedChain,), {"chain_id": chain_id})


class Nodes(BaseDB):
    """py-evm's key-value store in the table `nodes`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __getitem__(self, key: bytes) -> bytes:
        row = self._db.execute("SELECT value FROM nodes WHERE key = ?", (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return row[0]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO nodes VALUES (?, ?)", (key, value))

    def __delitem__(self, key: bytes) -> None:
        self._db.execute("DELETE FROM nodes WHERE key = ?", (key,))

    def _exists(self, key: bytes) -> bool:
        return self._db.execute("SELECT 1 FROM nodes WHERE key = ?", (key,)).fetchone() is not None
