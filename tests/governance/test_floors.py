"""What a home has seen is a floor: a chain that forgets, goes back or is rewritten is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import rfc8785

from graphopt.bundle import read_manifest
from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home

from .conftest import make_bundle


def copy_ledger(home: Home, to: Path) -> None:
    with sqlite3.connect(home.ledger) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    shutil.copy(home.ledger, to)


def restore_ledger(home: Home, backup: Path) -> None:
    for path in home.folder.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(backup, home.ledger)


@pytest.fixture
def anchored(bundle: Path, home: Home) -> Path:
    actions.sign(bundle)
    actions.anchor(bundle, "digits")
    return bundle


def test_a_backup_that_forgets_a_revocation_is_refused_with_both_heights(anchored: Path, home: Home, tmp_path: Path):
    copy_ledger(home, tmp_path / "backup")
    actions.revoke(anchored)
    assert actions.verify(anchored).exit_code == 15
    restore_ledger(home, tmp_path / "backup")
    with pytest.raises(ChainError, match=r"the chain went back: this home has seen block 3 of it, .* newest is 2"):
        actions.verify(anchored)


def test_a_backup_that_grew_another_way_is_refused(anchored: Path, home: Home, tmp_path: Path):
    copy_ledger(home, tmp_path / "backup")
    actions.revoke(anchored)
    actions.verify(anchored)
    restore_ledger(home, tmp_path / "backup")
    other = make_bundle(tmp_path / "other", "cd" * 32)
    actions.sign(other)
    actions.anchor(other)
    with pytest.raises(ChainError, match="the chain was rewritten: block 3 was 0x"):
        actions.verify(other)
    third = make_bundle(tmp_path / "third", "ef" * 32)
    actions.sign(third)
    actions.anchor(third)
    with pytest.raises(ChainError, match=r"the record of .* has changed 1 times, and this home has seen 2 changes"):
        actions.verify(anchored)


def test_a_model_whose_later_version_is_forgotten_is_refused(anchored: Path, home: Home, tmp_path: Path):
    copy_ledger(home, tmp_path / "backup")
    later = make_bundle(tmp_path / "later", "cd" * 32)
    actions.sign(later)
    actions.anchor(later, "digits")
    assert actions.verify(later).approved
    restore_ledger(home, tmp_path / "backup")
    for name in ("one", "two"):
        other = make_bundle(tmp_path / name, name[0] * 64)
        actions.sign(other)
        actions.anchor(other)
    with pytest.raises(
        ChainError, match="a model's latest version is 1 as of block 4, and this home has seen version 2"
    ):
        actions.verify(anchored)


def test_another_federation_has_a_floor_of_its_own(anchored: Path, home: Home):
    actions.revoke(anchored)
    actions.verify(anchored)
    for path in home.folder.glob("ledger.sqlite3*"):
        path.unlink()
    actions.anchor(anchored)
    assert actions.verify(anchored).approved
    assert len(list(home.proofs.glob("floor-*.json"))) == 2


def test_what_is_kept_is_its_owners_alone(anchored: Path, home: Home):
    actions.verify(anchored)
    kept = list(home.proofs.iterdir())
    assert {path.name for path in kept} >= {f"{read_manifest(anchored).digest.hex()}.json"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "graphopt/floor/v2"},
        {"chain": "7"},
        {"block": 1},
        {"records": {"ab": [1]}},
        {"records": {"ab": [1, True]}},
        {"models": {"ab": "1"}},
        {"final": 1},
    ],
)
def test_a_floor_that_cannot_be_read_is_not_taken_for_none(anchored: Path, home: Home, change: dict[str, object]):
    actions.verify(anchored)
    (path,) = home.proofs.glob("floor-*.json")
    path.write_bytes(rfc8785.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(GraphoptError, match="floor"):
        actions.verify(anchored)
