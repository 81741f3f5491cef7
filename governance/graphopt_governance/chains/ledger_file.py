"""The SQLite file of a ledger: opened so that nothing is obeyed which lies beside it.

SQLite acts on neighbours of the file that it opens: it plays a rollback journal back and then removes the file that the
journal names, any file.  A ledger of one's own is made beside and renamed, and written through a write-ahead log, so it
never has a rollback journal; where there is one, somebody else put it there, and the file is not opened.  Of a
stranger's ledger, a private copy of the one file is read, and nothing beside it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from graphopt_governance.errors import ChainError
from graphopt_governance.keys.key_files import make_private_folder, sync_folder
from graphopt_governance.keys.own_files import check_own_file, check_own_folder
from graphopt_governance.wording import printable

Connect = Callable[[], AbstractContextManager[sqlite3.Connection]]

_WAIT_SECONDS = 30.0
_STILL_SECONDS = 5.0
"""How long a stranger's ledger may be in use before it is said that it is."""
_MAX_COPY = 1 << 30
_MAX_VALUE = 1 << 24
"""More than a transaction or a node of the state can have."""
_STEPS, _FREE_STEPS = 100_000, 10_000_000
_JOURNAL, _LOGS = "-journal", ("-wal", "-shm")


@contextmanager
def own_connection(path: Path, *, bounded: bool = True) -> Generator[sqlite3.Connection]:
    """A connection to the ledger at `path`, which only this account and root can write to; ChainError else.

    `bounded`: what it does is in proportion to the file, as all reading is.
    """
    check_neighbours(path)
    with _sqlite(path, str(path)) as db:
        if bounded:
            _bound(db, path)
        yield db


@contextmanager
def copied_connection(copy: Path, path: Path) -> Generator[sqlite3.Connection]:
    """A connection to a private copy of the ledger at `path`; SQLite neither writes nor looks for neighbours."""
    with _sqlite(path, f"{copy.absolute().as_uri()}?mode=ro&immutable=1") as db:
        _bound(db, copy)
        yield db


def check_neighbours(path: Path) -> None:
    """ChainError unless the ledger at `path`, and all that SQLite would open beside it, is one's own."""
    check_own_folder(path, "the ledger at", ChainError, sticky=False)
    check_own_file(path, "the ledger at", ChainError)
    if os.path.lexists(journal := beside(path, _JOURNAL)):
        raise ChainError(
            f"the ledger at {path} is not opened: there is {journal}, which no ledger has and SQLite would obey; look"
            " who put it there, and remove it"
        )
    for name in _LOGS:
        log = check_own_file(beside(path, name), "the ledger's", ChainError)
        # SQLite writes to it: a second name for it is a second file that is written to
        if log is not None and log.st_nlink != 1:
            raise ChainError(f"the ledger at {path} is not opened: {beside(path, name)} has another name, too")


def private_copy(path: Path) -> Path:
    """A copy of the one file at `path`, in a new private folder, for the caller to remove.

    ChainError where a journal or log lies beside it: it is in use, or the file alone is not the whole ledger.
    """
    folder = Path(tempfile.mkdtemp(prefix="graphopt-ledger-"))
    try:
        check_own_folder(folder, "the private folder", ChainError)
        copy = folder / "ledger.sqlite3"
        end = time.monotonic() + _STILL_SECONDS
        while not _copied(path, copy):
            if time.monotonic() > end:
                raise ChainError(
                    f"the ledger at {path} is not looked at: there is {_in_use(path) or path}, so it is in use, or was"
                    " left in the middle of it; whoever keeps it runs `graphopt fed status`, and you try again"
                )
            time.sleep(0.05)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return copy


def made_beside(path: Path, make: Callable[[sqlite3.Connection], object]) -> bool:
    """Let `make` fill a new ledger, which gets its place at `path` when it is whole; False where one is there already.

    So a process that is killed leaves no ledger that is half made, and none has a rollback journal.
    """
    make_private_folder(path.parent)
    check_own_folder(path, "the ledger at", ChainError, sticky=False)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        new = folder / path.name
        # the file's mode is set before anything is in it; SQLite gives its log the same
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with own_connection(new, bounded=False) as db:
            db.execute("PRAGMA journal_mode = WAL")
            with transaction(db):
                make(db)
        try:
            os.link(new, path)
        except FileExistsError:
            return False
        sync_folder(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return True


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """All that is done within is on the disk afterwards, or, where it raises, nothing of it."""
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # another program changed it; by way of MEMORY, so that this too leaves no journal when it is killed
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def beside(path: Path, ending: str) -> Path:
    """What SQLite calls a file that belongs to the one at `path`."""
    return path.with_name(path.name + ending)


@contextmanager
def _sqlite(path: Path, name: str) -> Generator[sqlite3.Connection]:
    try:
        db = sqlite3.connect(name, timeout=_WAIT_SECONDS, isolation_level=None, uri=name.startswith("file:"))
        try:
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("PRAGMA synchronous = FULL")
            yield db
        finally:
            db.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # what SQLite says may quote the file, which need not even be text
        why = printable(str(error)) if isinstance(error, sqlite3.Error) else "it holds text that is none"
        raise ChainError(f"the ledger at {path} cannot be used: {why}") from error


def _bound(db: sqlite3.Connection, file: Path) -> None:
    """Let reading end: a value may claim a gigabyte, and pages may lead to each other again and again."""
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE)
    left = (file.stat().st_size + _FREE_STEPS) // _STEPS

    def step() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    db.set_progress_handler(step, _STEPS)


def _copied(path: Path, copy: Path) -> bool:
    """Copy the file at `path`; False where it is in use."""
    if _in_use(path) is not None:
        return False
    with _plain_file(path) as handle:
        before = os.fstat(handle)
        if before.st_size > _MAX_COPY:
            raise ChainError(f"the ledger at {path} has more than {_MAX_COPY} bytes")
        with os.fdopen(handle, "rb", closefd=False) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        after = os.fstat(handle)
    still = (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    return still and _in_use(path) is None


def _in_use(path: Path) -> Path | None:
    """What lies beside a ledger that is written to, or that was left in the middle of it."""
    return next((found for name in (_JOURNAL, *_LOGS) if os.path.lexists(found := beside(path, name))), None)


@contextmanager
def _plain_file(path: Path) -> Generator[int]:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ChainError(f"there is no ledger at {path}") from None
    except OSError as error:
        raise ChainError(f"the ledger at {path} cannot be opened: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ChainError(f"the ledger at {path} is not a plain file")
        yield handle
    finally:
        os.close(handle)
