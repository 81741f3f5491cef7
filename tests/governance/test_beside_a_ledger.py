"""What lies beside a ledger is never obeyed: SQLite plays journals back, and removes the file that a journal names."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from graphopt.bundle import read_manifest
from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.chains import ledger_file
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.ledger_file import beside
from graphopt_governance.decide import auditing
from graphopt_governance.decide.founding import own_federation, prepare_to_join, require_none
from graphopt_governance.errors import ChainError
from graphopt_governance.exchange.invitation import Invitation
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home

MAGIC = bytes.fromhex("d9d505f920a163d7")
PAGE = 4096
_LOCKED_PAGE = 0x40000000 // PAGE + 1


def hot_journal(super_journal: Path) -> bytes:
    """A rollback journal that changes nothing, and whose playing back ends with removing what it names.

    Source: SQLite's pager.c, writeJournalHdr and writeSuperJournal.
    """
    header = MAGIC + b"".join(word.to_bytes(4, "big") for word in (0, 1, 1, 512, PAGE))
    name = str(super_journal).encode()
    end = (_LOCKED_PAGE, name, len(name), sum(name) & 0xFFFFFFFF)
    words = [part if isinstance(part, bytes) else part.to_bytes(4, "big") for part in end]
    return header.ljust(512, b"\0") + b"".join(words) + MAGIC


@pytest.fixture
def victim(home: Home) -> Path:
    """What somebody would like to be rid of."""
    path = home.folder / "victim"
    path.write_text("here\n")
    return path


@pytest.fixture
def invitation(anchored: Path, home: Home) -> Invitation:
    """The way into the federation, from before anything was put beside its ledger."""
    return Invitation(Ledger.open(home.ledger).domain, 1)


Way = Callable[[Home, Path, Invitation], object]
WAYS: dict[str, Way] = {
    "verify": lambda home, bundle, _: actions.verify(bundle, home),
    "gate": lambda home, bundle, _: ChainGate.default(home).admit(read_manifest(bundle)),
    "revoke": lambda home, bundle, _: actions.revoke(bundle, home=home),
    "status, log": lambda home, bundle, _: own_federation(home).snapshot(),
    "audit": lambda home, bundle, _: auditing.export(home),
    "found": lambda home, bundle, _: require_none(home),
    "join": lambda home, bundle, invitation: prepare_to_join(Home(home.folder / "east"), invitation, home.ledger),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_journal_beside_a_ledger_removes_no_file(
    anchored: Path, home: Home, victim: Path, invitation: Invitation, way: str
):
    beside(home.ledger, "-journal").write_bytes(hot_journal(victim))
    with pytest.raises(GraphoptError, match="-journal"):
        WAYS[way](home, anchored, invitation)
    assert victim.read_text() == "here\n"


@pytest.mark.parametrize("ending", ["-wal", "-shm"])
@pytest.mark.parametrize("way", WAYS)
def test_a_log_that_is_another_name_for_a_file_is_not_written_to(
    anchored: Path, home: Home, victim: Path, invitation: Invitation, way: str, ending: str
):
    for make in (beside(home.ledger, ending).symlink_to, beside(home.ledger, ending).hardlink_to):
        make(victim)
        with pytest.raises(GraphoptError, match=ending):
            WAYS[way](home, anchored, invitation)
        assert victim.read_text() == "here\n"
        beside(home.ledger, ending).unlink()


@pytest.mark.parametrize("ending", ["-journal", "-wal", "-shm"])
def test_a_strangers_ledger_that_is_not_one_file_is_not_looked_at(
    home: Home, invitation: Invitation, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger_file, "_STILL_SECONDS", 0.1)
    beside(home.ledger, ending).touch(0o600)
    for look in (Ledger.of_others, lambda path: prepare_to_join(Home(tmp_path / "east"), invitation, path)):
        with pytest.raises(ChainError, match=f"there is .*{ending},"):
            look(home.ledger)


def test_looking_at_a_strangers_ledger_makes_no_file_and_changes_none(
    home: Home, invitation: Invitation, tmp_path: Path
):
    def there() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in home.folder.iterdir() if path.is_file()}

    before, times = there(), home.folder.stat().st_mtime_ns
    assert home.ledger.read_bytes()[18:20] == b"\2\2", "the ledger is in write-ahead mode"
    found = prepare_to_join(Home(tmp_path / "east"), invitation, home.ledger)
    assert found.replayed
    assert (there(), home.folder.stat().st_mtime_ns) == (before, times)
    assert not (tmp_path / "east").exists()


def test_a_ledger_in_a_folder_of_mode_777_is_not_lived_in(home: Home, invitation: Invitation, tmp_path: Path):
    shared = tmp_path / "shared"
    shared.mkdir()
    copy = shutil.copy(home.ledger, shared / "ledger.sqlite3")
    # a sticky folder keeps others from removing the ledger, and not from putting a journal beside it
    for mode in (0o777, 0o1777, 0o720):
        shared.chmod(mode)
        assert Ledger.of_others(copy).snapshot().block == 2
        with pytest.raises(ChainError, match="others can write to its folder"):
            Ledger.open(copy)
        with pytest.raises(ChainError, match="others can write to its folder"):
            prepare_to_join(Home(tmp_path / "east"), invitation, copy)


def test_a_temporary_folder_in_which_others_can_swap_the_copy_is_not_used(
    home: Home, invitation: Invitation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    with pytest.raises(ChainError, match=r"private folder .* others can write to its folder"):
        prepare_to_join(Home(tmp_path / "east"), invitation, home.ledger)
    assert not list((tmp_path / "tmp").iterdir())


def test_a_ledger_whose_mode_was_changed_is_written_to_through_a_log(anchored: Path, home: Home):
    with sqlite3.connect(home.ledger, isolation_level=None) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    assert home.ledger.read_bytes()[18:20] == b"\1\1"
    assert actions.revoke(anchored).block == 3
    assert home.ledger.read_bytes()[18:20] == b"\2\2"


def test_what_a_log_of_ones_own_holds_is_read(anchored: Path, home: Home):
    holding = sqlite3.connect(home.ledger, isolation_level=None)
    holding.execute("BEGIN")
    holding.execute("SELECT * FROM ledger").fetchall()
    actions.revoke(anchored)
    assert beside(home.ledger, "-wal").stat().st_size > 0
    assert actions.verify(anchored).exit_code == 15
    holding.close()
