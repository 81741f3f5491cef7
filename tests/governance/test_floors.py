"""What a home has seen is a floor: a chain that forgets, goes back or is rewritten is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import rlp
from eth_hash.auto import keccak

from graphopt.bundle import read_manifest
from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.errors import ChainError
from graphopt_governance.home import Home
from graphopt_governance.verdict.floors import Seen

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


def grow(ledger_of: Home, folder: Path, *letters: str) -> list[Path]:
    """Approve more bundles, from a home with the same keys that has seen nothing; the ledger comes back longer."""
    elsewhere = Home(folder / f"elsewhere {''.join(letters)}")
    shutil.copytree(ledger_of.folder, elsewhere.folder, ignore=shutil.ignore_patterns("proofs"))
    made: list[Path] = []
    for letter in letters:
        bundle = make_bundle(folder / letter, letter * 64)
        actions.sign(bundle, elsewhere)
        actions.anchor(bundle, home=elsewhere)
        made.append(bundle)
    copy_ledger(elsewhere, folder / "grown")
    restore_ledger(ledger_of, folder / "grown")
    return made


def test_a_backup_that_grew_another_way_is_refused(anchored: Path, home: Home, tmp_path: Path):
    copy_ledger(home, tmp_path / "backup")
    actions.revoke(anchored)
    actions.verify(anchored)
    restore_ledger(home, tmp_path / "backup")
    (other,) = grow(home, tmp_path, "c")
    with pytest.raises(ChainError, match="the chain was rewritten: block 3 was 0x"):
        actions.verify(other)
    # and it stays refused when it is longer than what was seen, for bundles too that this home never saw
    (third,) = grow(home, tmp_path, "e")
    for bundle in (anchored, third):
        with pytest.raises(ChainError, match=r"the chain was rewritten: block 3 was 0x.* is 0x"):
            actions.verify(bundle)


def test_a_longer_history_that_only_names_what_was_seen_is_refused(anchored: Path, home: Home, tmp_path: Path):
    actions.verify(anchored)
    grow(home, tmp_path, "c", "d")
    with sqlite3.connect(home.ledger) as db:
        # block 3 is another one, though block 2, the one that was seen, is there as it was
        (raw,) = db.execute("SELECT header FROM blocks WHERE number = 3").fetchone()
        fields = rlp.decode(raw)
        fields[12] = b"another"
        header = rlp.encode(fields)
        db.execute("UPDATE blocks SET header = ?, hash = ? WHERE number = 3", (header, keccak(header)))
    db.close()
    with pytest.raises(ChainError, match=r"block 2 was 0x.*is not among those it descends from"):
        actions.verify(anchored)


def seen(block: int = 9, **fields: Any) -> Seen:
    return Seen(block, bytes(32), final=True, **fields)


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        (seen(9), seen(8), "has seen block 9 of it, and now its newest is 8"),
        (seen(epoch=3), seen(10, epoch=2), "its epoch is 2; this home has seen 3"),
        (seen(records={"ab": (2, 5)}), seen(10, records={"ab": (1, 10)}), "has changed 1 times, and .* seen 2 changes"),
        (seen(models={"ab": 2}), seen(10, models={"ab": 1}), "latest version is 1 as of block 10, .* seen version 2"),
    ],
)
def test_whatever_only_rises_must_not_fall(before: Seen, now: Seen, sentence: str):
    with pytest.raises(ChainError, match=sentence):
        before.refuse_less(now, "the chain", newest=True)
    before.refuse_less(before.risen_by(now), "the chain", newest=True)


def test_an_older_proof_of_another_record_is_no_step_back():
    before = seen(9, records={"ab": (2, 5)})
    before.refuse_less(seen(6, records={"ab": (2, 6)}), "the kept proof", newest=False)
    before.refuse_less(seen(6, records={"cd": (1, 6)}), "the kept proof", newest=False)
    with pytest.raises(ChainError, match="as of block 4"):
        before.refuse_less(seen(4, records={"ab": (2, 4)}), "the kept proof", newest=False)


def test_what_is_kept_is_its_owners_alone(anchored: Path, home: Home):
    actions.verify(anchored)
    kept = list(home.proofs.iterdir())
    assert {path.name for path in kept} >= {f"{read_manifest(anchored).digest.hex()}.json"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in kept)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "graphopt/floor/v3"},
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


def test_a_home_that_has_judged_thousands_of_bundles_goes_on_judging(anchored: Path, home: Home):
    actions.verify(anchored)
    (floor,) = home.proofs.glob("floor-*.json")
    document = json.loads(floor.read_bytes())
    document["records"] |= {f"{at:064x}": [1, 1] for at in range(3000)}
    floor.write_bytes(rfc8785.dumps(document))
    assert actions.verify(anchored).approved
    actions.revoke(anchored)
    assert actions.verify(anchored).exit_code == 15
    assert len(json.loads(floor.read_bytes())["records"]) == 3001
