"""The embedded chain: an Ethereum chain in one SQLite file, nothing to start; one operator's ledger, no consensus.

Each block is one SQLite transaction, with its events in an index of our own, so a process killed at any moment
leaves the block whole or absent.  The journal is a write-ahead log with `synchronous=FULL`: a block that was reported
is on the disk, and readers are never blocked by a writer.  Writers exclude each other by SQLite's own lock.

A call that the contract turns down leaves no block: the transaction is rolled back with it.  The chain's id is drawn
at random when the ledger is made, and the contract's address is that of its founding (`founding_account`), so a
signature for one ledger holds on no other.  Reading (`snapshot`, `events`) needs no Ethereum virtual machine; it checks
the head's hash and every node of the state that it reads.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import sys
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from graphopt_governance.chains import rlp_decoding
from graphopt_governance.chains.chain import Receipt, Snapshot
from graphopt_governance.chains.floors import Floors
from graphopt_governance.chains.founding_account import CHAIN_IDS, contract_address, founding_key
from graphopt_governance.chains.ledger_file import (
    Connect,
    copied_connection,
    made_beside,
    own_connection,
    private_copy,
    transaction,
)
from graphopt_governance.chains.state_trie import Header, Recorded, TrieStorage
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.protocol.action import Domain
from graphopt_governance.protocol.contract import (
    Event,
    Founder,
    State,
    decode_event,
    deployment,
    event_topic,
    revert_reason,
)

if TYPE_CHECKING:
    from graphopt_governance.chains.embedded import Outcome

FORMAT = 2
_MAX_TIME = 2**40
"""Seconds since the epoch: some 35,000 years."""
# SQLite keeps what it is given, whatever the column is called: what is read is of the kind that is asked for
_NEWEST = "SELECT number, CAST(hash AS BLOB), CAST(header AS BLOB) FROM blocks ORDER BY number DESC LIMIT 1"
_FOUNDING = (
    "SELECT CAST(t.raw AS BLOB), CAST(b.header AS BLOB) FROM transactions t JOIN blocks b ON b.number = 0"
    " WHERE t.block = 1"
)
_SINCE = "SELECT CAST(header AS BLOB) FROM blocks WHERE number >= ? ORDER BY number DESC"
_NODE = "SELECT CAST(value AS BLOB) FROM nodes WHERE key = ?"
_EVENTS = (
    "SELECT e.block, CAST(b.time AS INTEGER), CAST(e.topics AS BLOB), CAST(e.data AS BLOB)"
    " FROM events e JOIN blocks b ON b.number = e.block WHERE 1"
)

_SCHEMA = (
    "CREATE TABLE ledger (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE nodes (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash BLOB NOT NULL, time INTEGER NOT NULL, header BLOB NOT NULL)",
    "CREATE TABLE transactions (block INTEGER PRIMARY KEY, raw BLOB NOT NULL)",
    "CREATE TABLE events (block INTEGER, position INTEGER, topic BLOB NOT NULL, subject BLOB, topics BLOB NOT NULL,"
    " data BLOB NOT NULL, PRIMARY KEY (block, position)) WITHOUT ROWID",
    "CREATE INDEX events_by_subject ON events (subject, block)",
)


@dataclass(frozen=True, slots=True)
class Call:
    """What one block executed: the first creates the contract (its init code), all others call it."""

    time: int
    data: bytes


class Ledger:
    """The embedded chain in the file at `path`.  Open with `Ledger.open`, make with `Ledger.create`."""

    def __init__(self, path: Path, domain: Domain, connect: Connect) -> None:
        self.path = path
        self._domain = domain
        self._connect = connect
        self._floors: Floors | None = None

    def remembering(self, floors: Floors) -> Ledger:
        """The same, whose every snapshot is held against what a home has seen, and raises it."""
        self._floors = floors
        return self

    @classmethod
    def create(
        cls, path: Path, founders: Sequence[Founder], quorum: int = 1, delay: int = 0, *, only_new: bool = False
    ) -> Ledger:
        """Make a ledger with a federation of `founders`; or open the one that another process made first.

        ChainError instead, when it must be `only_new`.
        """
        chain_id = CHAIN_IDS[secrets.randbelow(len(CHAIN_IDS))]
        code = deployment(founders, quorum, delay)
        new = not cls.is_made(path) and made_beside(path, lambda db: _begin(db, chain_id, int(time.time()), code))
        if only_new and not new:
            raise ChainError(f"there is a federation at {path} already")
        return cls.open(path)

    @classmethod
    def rebuild(cls, path: Path, chain_id: int, genesis_time: int, calls: Sequence[Call], head: bytes) -> Ledger:
        """A new ledger from what `history` gave; ChainError, and no ledger, when it does not come to the same head."""
        if not calls:
            raise ChainError("a ledger begins with its contract; the log is empty")
        _check_chain_id(chain_id, "the log")

        def replay(db: sqlite3.Connection) -> None:
            with _virtual_machine().invalid_transactions("the log does not replay"):
                contract = _begin(db, chain_id, genesis_time, calls[0].data)
                for call in calls[1:]:
                    outcome = _virtual_machine().execute(db, chain_id, call.time, contract, call.data)
                    if outcome.error is not None:
                        raise ChainError(f"the log does not replay: {revert_reason(outcome.error)}")
                    _record(db, outcome)
            row = db.execute("SELECT hash FROM blocks ORDER BY number DESC LIMIT 1").fetchone()
            if row[0] != head:
                raise ChainError("the log does not replay to the head that it claims")

        if cls.is_made(path) or not made_beside(path, replay):
            raise ChainError(f"there is a ledger at {path} already")
        return cls.open(path)

    def history(self) -> tuple[int, list[Call], bytes]:
        """The genesis block's time, every call since, and the head's hash: all it takes to rebuild the ledger."""
        query = (
            "SELECT CAST(b.time AS INTEGER), CAST(t.raw AS BLOB), CAST(b.hash AS BLOB)"
            " FROM blocks b LEFT JOIN transactions t ON t.block = b.number ORDER BY b.number"
        )
        with self._connect() as db:
            rows = db.execute(query).fetchall()
        try:
            (genesis_time, _, _), *blocks = rows
            # the sixth field of a transaction is its data; all else follows from the order
            calls = [Call(seconds, _data_of(raw)) for seconds, raw, _ in blocks]
            if not all(0 <= seconds < _MAX_TIME for seconds, _, _ in rows):
                raise ValueError("a time that is none")
        except (ValueError, TypeError, IndexError) as error:
            raise ChainError(f"the ledger at {self.path} was altered: it has a block that is none") from error
        return genesis_time, calls, rows[-1][2]

    def block_hashes(self) -> list[bytes]:
        """The hash of every block, the genesis block's first."""
        with self._connect() as db:
            return [row[0] for row in db.execute("SELECT CAST(hash AS BLOB) FROM blocks ORDER BY number").fetchall()]

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """The ledger at `path`, one's own to write to; ChainError when there is none, or it is of another format.

        ChainError, too, when others could have written it: see `own_files`.
        """
        if not path.is_file():
            raise ChainError(f"there is no ledger at {path}")
        connect = partial(own_connection, path)
        return cls(path, _domain_of(path, connect), connect)

    @classmethod
    def of_others(cls, path: Path) -> Ledger:
        """The ledger that anybody may have left at `path`, to look at: a private copy as it is now, never written to.

        ChainError as for `open`, and where it is in use.
        """
        copy = private_copy(path)
        connect = partial(copied_connection, copy, path)
        try:
            ledger = cls(path, _domain_of(path, connect), connect)
        except BaseException:
            shutil.rmtree(copy.parent, ignore_errors=True)
            raise
        weakref.finalize(ledger, shutil.rmtree, copy.parent, ignore_errors=True)
        return ledger

    @staticmethod
    def is_made(path: Path) -> bool:
        """Whether there is a ledger at `path`; ChainError for another file, or one that others could have written."""
        if not os.path.lexists(path):
            return False
        with own_connection(path) as db:
            if not _is_made(db):
                raise ChainError(f"there is no ledger in the file {path}, which is in the place of one: remove it")
        return True

    @property
    def domain(self) -> Domain:
        """Where this federation's signatures hold."""
        return self._domain

    @property
    def basis(self) -> str:
        """What a reading rests on, in words."""
        return "embedded, one operator's, without consensus"

    def snapshot(self) -> Snapshot:
        """The contract as of the newest block; ChainError when what the file holds does not hash to its head."""
        if self._floors is None:
            return self._read()
        return self._floors.held(self._domain, lambda _: self._read())

    def _read(self) -> Snapshot:
        with self._connect() as db:
            row = db.execute(_NEWEST).fetchone()
        header = Header.decode(row[2]) if row is not None else None
        if row is None or header is None or (header.number, header.digest) != row[:2]:
            raise ChainError(f"the ledger at {self.path} was altered: its newest block does not have its hash")
        nodes = Recorded(self._node)
        state = State(TrieStorage(nodes, header.state_root, self._domain.contract))
        return Snapshot(
            header.number,
            header.time,
            state,
            row[2],
            nodes.used,
            self.basis,
            ancestor=lambda number: self._ancestor(header, number),
        )

    def events(self, name: str | None = None, subject: bytes | None = None, build: bytes | None = None) -> list[Event]:
        """The contract's events, oldest first; of one name, about one digest, of one build where given."""
        query = _EVENTS
        values: list[bytes] = []
        if subject is not None:
            query += " AND e.subject = ?"
            values.append(subject)
        if build is not None:
            # the third of what an event is indexed by, after its name: a word each
            query += " AND substr(e.topics, 97, 32) = ?"
            values.append(build)
        if name is not None:
            query += " AND e.topic = ?"
            values.append(event_topic(name))
        with self._connect() as db:
            rows = db.execute(query + " ORDER BY e.block, e.position", values).fetchall()
        found: list[Event] = []
        for block, seconds, topics, data in rows:
            decoded = decode_event([topics[at : at + 32] for at in range(0, len(topics), 32)], data)
            if decoded is not None:
                found.append(Event(decoded[0], block, seconds, decoded[1]))
        return found

    def settle(self) -> None:
        """Nothing to do: a block is written whole or not at all."""

    def submit(self, call: bytes, what: str) -> Receipt:
        """Execute a call to the contract in a block of its own; ActionError, and no block, when it is turned down."""
        if self._floors is not None:
            # nothing is added to a ledger that shows less than was seen
            self.snapshot()
        with self._connect() as db, transaction(db):
            outcome = _virtual_machine().execute(
                db, self._domain.chain_id, int(time.time()), self._domain.contract, call
            )
            if outcome.error is not None:
                raise ActionError(what, revert_reason(outcome.error))
            _record(db, outcome)
        if self._floors is not None:
            # what was done here was seen, too
            self.snapshot()
        return Receipt(outcome.block, outcome.time, outcome.gas)

    def _ancestor(self, head: Header, number: int) -> bytes | None:
        """The hash of block `number`, from which each block up to `head` descends; None where one does not."""
        with self._connect() as db:
            rows = db.execute(_SINCE, (number,)).fetchall()
        wanted, height = head.digest, head.number
        for (raw,) in rows:
            header = Header.decode(raw)
            if (header.digest, header.number) == (wanted, height):
                if height == number:
                    return wanted
                wanted, height = header.parent, height - 1
        return None

    def _node(self, digest: bytes) -> bytes | None:
        with self._connect() as db:
            row = db.execute(_NODE, (digest,)).fetchone()
        return row[0] if row is not None else None


def _virtual_machine() -> ModuleType:
    # py-evm raises the recursion limit to where deep recursion crashes Python; our contract does not need that
    limit = sys.getrecursionlimit()
    try:
        from graphopt_governance.chains import embedded
    finally:
        sys.setrecursionlimit(limit)
    return embedded


def _domain_of(path: Path, connect: Connect) -> Domain:
    """Which federation is in the ledger at `path`; ChainError for what is no ledger, or not that of its founding."""
    with connect() as db:
        if not _is_made(db):
            raise ChainError(f"the ledger at {path} is empty")
        # a view or a trigger in a stranger's file would be run, without end, by whoever reads it
        made = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        if {sql for (sql,) in made} != set(_SCHEMA):
            raise ChainError(f"the ledger at {path} was altered: its tables are not those of a ledger")
        rows = db.execute("SELECT CAST(key AS TEXT), CAST(value AS BLOB) FROM ledger LIMIT 9").fetchall()
        values = dict(cast("list[tuple[str, bytes]]", rows))
        founding = db.execute(_FOUNDING).fetchone()
    if values.get("format") == b"1":
        raise ChainError(
            f"the ledger at {path} was made by an earlier version, whose ledgers all had one contract address, so that"
            " signatures for a twin of it would count: found the federation again, and anchor again what still holds"
        )
    if values.get("format") != b"%d" % FORMAT:
        raise ChainError(f"the ledger at {path} has format {values.get('format')!r}; this version reads {FORMAT}")
    chain, contract = values.get("chain", b""), values.get("contract", b"")
    if not chain.isdigit() or len(chain) > 20 or len(contract) != 20:
        raise ChainError(f"the ledger at {path} was altered: it does not say which federation is in it")
    _check_chain_id(int(chain), f"the ledger at {path}")
    try:
        raw, header = founding
        key = founding_key(int(chain), Header.decode(header).time, _data_of(raw))
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ChainError(f"the ledger at {path} was altered: it does not say how it was founded") from error
    if contract_address(key) != contract:
        raise ChainError(f"the ledger at {path} is not that of its contract: 0x{contract.hex()} was founded otherwise")
    return Domain(int(chain), contract)


def _check_chain_id(chain_id: int, what: str) -> None:
    if chain_id not in CHAIN_IDS:
        raise ChainError(
            f"{what} has chain id {chain_id}, and those of ledgers are 2**48 to 2**49: signatures on it could count"
            " elsewhere"
        )


def _data_of(raw: bytes) -> bytes:
    """The data of a transaction; ValueError, TypeError or IndexError for what is none."""
    data = cast("list[object]", rlp_decoding.decode(raw))[5]
    if not isinstance(data, bytes):
        raise TypeError("a transaction's data are bytes")
    return data


def _begin(db: sqlite3.Connection, chain_id: int, now: int, code: bytes) -> bytes:
    """Create the tables and the contract, whose address is returned."""
    for statement in _SCHEMA:
        db.execute(statement)
    outcome = _virtual_machine().deploy(db, chain_id, now, code)
    if outcome.error is not None:
        raise ActionError("the new federation", revert_reason(outcome.error))
    _record(db, outcome)
    values = {"format": b"%d" % FORMAT, "chain": b"%d" % chain_id, "contract": outcome.contract}
    db.executemany("INSERT INTO ledger VALUES (?, ?)", values.items())
    return outcome.contract


def _record(db: sqlite3.Connection, outcome: Outcome) -> None:
    block = outcome.block
    for number, digest, seconds, header in outcome.headers:
        db.execute("INSERT INTO blocks VALUES (?, ?, ?, ?)", (number, digest, seconds, header))
    db.execute("INSERT INTO transactions VALUES (?, ?)", (block, outcome.transaction))
    for position, (topics, data) in enumerate(outcome.logs):
        subject = topics[1] if len(topics) > 1 else None
        db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)",
            (block, position, topics[0], subject, b"".join(topics), data),
        )


def _is_made(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger'").fetchone() is not None
