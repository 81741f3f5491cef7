"""The embedded chain: an Ethereum chain in one SQLite file, nothing to start; one operator's ledger, no consensus.

Each block is one SQLite transaction, with its events in an index of our own, so a process killed at any moment
leaves the block whole or absent.  The journal is a write-ahead log with `synchronous=FULL`: a block that was reported
is on the disk, and readers are never blocked by a writer.  Writers exclude each other by SQLite's own lock.

A call that the contract turns down leaves no block: the transaction is rolled back with it.  The chain's id is drawn
at random when the ledger is made, so a signature for one ledger holds on no other.  Reading (`snapshot`, `events`)
needs no Ethereum virtual machine; it checks the head's hash and every node of the state that it reads.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from graphopt_governance.chains import rlp_decoding
from graphopt_governance.chains.chain import Receipt, Snapshot
from graphopt_governance.chains.state_trie import Header, Recorded, TrieStorage
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.keys.key_files import make_private_folder
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

FORMAT = 1
# SQLite keeps what it is given, whatever the column is called: what is read is of the kind that is asked for
_NEWEST = "SELECT number, CAST(hash AS BLOB), CAST(header AS BLOB) FROM blocks ORDER BY number DESC LIMIT 1"
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
_WAIT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Call:
    """What one block executed: the first creates the contract (its init code), all others call it."""

    time: int
    data: bytes


class Ledger:
    """The embedded chain in the file at `path`.  Open with `Ledger.open`, make with `Ledger.create`."""

    def __init__(self, path: Path, domain: Domain) -> None:
        self.path = path
        self._domain = domain

    @classmethod
    def create(
        cls, path: Path, founders: Sequence[Founder], quorum: int = 1, delay: int = 0, *, only_new: bool = False
    ) -> Ledger:
        """Make a ledger with a federation of `founders`; or open the one that another process made first.

        ChainError instead, when it must be `only_new`.
        """
        # 2**48 ids: two ledgers do not meet, and every tool that reads ids as floats still can
        chain_id = 2**48 + secrets.randbelow(2**48)
        with _new_file(path) as db:
            if _is_made(db):
                if only_new:
                    raise ChainError(f"there is a federation at {path} already")
            else:
                _begin(db, chain_id, int(time.time()), deployment(founders, quorum, delay))
        return cls.open(path)

    @classmethod
    def rebuild(cls, path: Path, chain_id: int, genesis_time: int, calls: Sequence[Call], head: bytes) -> Ledger:
        """A new ledger from what `history` gave; ChainError, and no ledger, when it does not come to the same head."""
        with _new_file(path) as db:
            if _is_made(db):
                raise ChainError(f"there is a ledger at {path} already")
            if not calls:
                raise ChainError("a ledger begins with its contract; the log is empty")
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
        return cls.open(path)

    def history(self) -> tuple[int, list[Call], bytes]:
        """The genesis block's time, every call since, and the head's hash: all it takes to rebuild the ledger."""
        query = "SELECT b.time, t.raw, b.hash FROM blocks b LEFT JOIN transactions t ON t.block = b.number ORDER BY 1"
        with _connection(self.path) as db:
            (genesis_time, _, _), *rows = db.execute(query).fetchall()
        try:
            # the sixth field of a transaction is its data; all else follows from the order
            calls = [Call(seconds, cast("list[bytes]", rlp_decoding.decode(raw))[5]) for seconds, raw, _ in rows]
        except (ValueError, TypeError, IndexError) as error:
            raise ChainError(f"the ledger at {self.path} was altered: it has a transaction that is none") from error
        return genesis_time, calls, rows[-1][2]

    def block_hashes(self) -> list[bytes]:
        """The hash of every block, the genesis block's first."""
        with _connection(self.path) as db:
            return [row[0] for row in db.execute("SELECT hash FROM blocks ORDER BY number").fetchall()]

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """The ledger at `path`; ChainError when there is none, or it is of another format."""
        if not path.is_file():
            raise ChainError(f"there is no ledger at {path}")
        with _connection(path) as db:
            if not _is_made(db):
                raise ChainError(f"the ledger at {path} is empty")
            # a view or a trigger in a stranger's file would be run, without end, by whoever reads it
            made = db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            if {sql for (sql,) in made} != set(_SCHEMA):
                raise ChainError(f"the ledger at {path} was altered: its tables are not those of a ledger")
            values = dict(
                cast("list[tuple[str, bytes]]", db.execute("SELECT key, CAST(value AS BLOB) FROM ledger").fetchall())
            )
        if values.get("format") != b"%d" % FORMAT:
            raise ChainError(f"the ledger at {path} has format {values.get('format')!r}; this version reads {FORMAT}")
        chain, contract = values.get("chain", b""), values.get("contract", b"")
        if not chain.isdigit() or len(contract) != 20:
            raise ChainError(f"the ledger at {path} was altered: it does not say which federation is in it")
        return cls(path, Domain(int(chain), contract))

    @staticmethod
    def is_made(path: Path) -> bool:
        """Whether there is a ledger at `path`, and not only the file of one whose making was interrupted."""
        if not path.exists():
            return False
        with _connection(path) as db:
            return _is_made(db)

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
        with _connection(self.path) as db:
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
        with _connection(self.path) as db:
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
        with _connection(self.path) as db, _transaction(db):
            outcome = _virtual_machine().execute(
                db, self._domain.chain_id, int(time.time()), self._domain.contract, call
            )
            if outcome.error is not None:
                raise ActionError(what, revert_reason(outcome.error))
            _record(db, outcome)
        return Receipt(outcome.block, outcome.time, outcome.gas)

    def _ancestor(self, head: Header, number: int) -> bytes | None:
        """The hash of block `number`, from which each block up to `head` descends; None where one does not."""
        with _connection(self.path) as db:
            rows = db.execute(_SINCE, (number,)).fetchall()
        wanted = head.digest
        for (raw,) in rows:
            header = Header.decode(raw)
            if header.digest == wanted:
                if header.number == number:
                    return wanted
                wanted = header.parent
        return None

    def _node(self, digest: bytes) -> bytes | None:
        with _connection(self.path) as db:
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


@contextmanager
def _new_file(path: Path) -> Generator[sqlite3.Connection]:
    make_private_folder(path.parent)
    # the file's mode is set before anything is in it; SQLite gives its journal the same
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    with _connection(path) as db:
        db.execute("PRAGMA journal_mode = WAL")
        with _transaction(db):
            yield db


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


@contextmanager
def _connection(path: Path) -> Generator[sqlite3.Connection]:
    try:
        db = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = FULL")
            yield db
        finally:
            db.close()
    except sqlite3.Error as error:
        raise ChainError(f"the ledger at {path} cannot be used: {error}") from error


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
