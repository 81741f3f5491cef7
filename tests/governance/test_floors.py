"""What a home has seen is a floor: a chain that forgets, goes back or is rewritten is refused."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
import rlp
from eth_hash.auto import keccak

from graphopt.bundle import read_manifest
from graphopt.errors import GraphoptError
from graphopt_governance import actions
from graphopt_governance.chains.chain import Snapshot
from graphopt_governance.chains.floors import Floors, Seen
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.decide import acting, auditing
from graphopt_governance.decide.founding import Charter, found_federation, own_federation
from graphopt_governance.decide.governing import sign_ballot
from graphopt_governance.errors import ChainError
from graphopt_governance.exchange.ballot import Ballot
from graphopt_governance.exchange.cards import make_card
from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.protocol.action import Action, Kind
from graphopt_governance.verdict.judging import Judge
from graphopt_governance.verdict.policy import Policy
from graphopt_governance.verdict.verify import Verdict

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


SNAPSHOTS: dict[str, Callable[[Home, Path], object]] = {
    "status": lambda home, bundle: own_federation(home).snapshot(),
    "anchor": lambda home, bundle: actions.anchor(bundle, home=home),
    "log, restored": lambda home, bundle: acting.restore(acting.Member(home), bundle),
    "sign": lambda home, bundle: sign_ballot(a_ballot(home), own_federation(home), home),
    "audit": lambda home, bundle: auditing.members_of(home),
    "verify": lambda home, bundle: actions.verify(bundle, home),
    "gate": lambda home, bundle: ChainGate.default(home).admit(read_manifest(bundle)),
}


def a_ballot(home: Home) -> Ballot:
    return Ballot(Ledger.open(home.ledger).domain, Action(Kind.CANCEL, epoch=1, deadline=int(time.time()) + 60))


@pytest.mark.parametrize("command", SNAPSHOTS)
def test_a_home_remembers_its_own_revocation_whatever_is_asked_next(
    anchored: Path, home: Home, tmp_path: Path, command: str
):
    copy_ledger(home, tmp_path / "backup")
    actions.revoke(anchored)
    # no verdict was read since
    restore_ledger(home, tmp_path / "backup")
    with pytest.raises(ChainError, match=r"went back: this home has seen block 3 .* remove .*floor-"):
        SNAPSHOTS[command](home, anchored)


def test_a_home_remembers_what_it_only_looked_at(anchored: Path, home: Home, tmp_path: Path):
    copy_ledger(home, tmp_path / "backup")
    elsewhere = Home(tmp_path / "elsewhere")
    shutil.copytree(home.folder, elsewhere.folder)
    actions.revoke(anchored, home=elsewhere)
    copy_ledger(elsewhere, tmp_path / "later")
    restore_ledger(home, tmp_path / "later")
    own_federation(home).snapshot()
    restore_ledger(home, tmp_path / "backup")
    with pytest.raises(ChainError, match="went back"):
        actions.verify(anchored)


class Told:
    """A chain behind nodes that say of it what a test has them say."""

    def __init__(self, ledger: Ledger, *agreed: str, **said: int) -> None:
        self._ledger, self._agreed, self._said = ledger, agreed, said
        self.domain, self.basis, self.events = ledger.domain, ledger.basis, ledger.events
        self.settle, self.submit = ledger.settle, ledger.submit

    def snapshot(self) -> Snapshot:
        return replace(self._ledger.snapshot(), agreed=self._agreed, ancestor=None, **self._said)


def judged(home: Home, bundle: Path, *agreed: str, **said: int) -> Verdict:
    chain = Told(Ledger.open(home.ledger), *agreed, **said)
    return Judge(home, Policy(), open_chain=lambda _: chain).verify(bundle)


def floor(home: Home) -> Seen:
    return Floors(home.proofs).read(Ledger.open(home.ledger).domain)


def test_a_block_from_the_future_raises_no_floor(anchored: Path, home: Home):
    before = floor(home)
    verdict = judged(home, anchored, "liar", block=2**30, time=int(time.time()) + 10**6)
    assert verdict.exit_code == 18
    assert floor(home) == before
    assert judged(home, anchored, "honest").approved


@pytest.mark.parametrize("block", [10**6, 2**40, 2**50, 2**53, 2**62])
@pytest.mark.parametrize("known", [True, False])
def test_a_height_that_no_chain_comes_to_raises_no_floor(anchored: Path, home: Home, block: int, known: bool):
    if not known:
        shutil.rmtree(home.proofs)
        block *= 2**18
    before = floor(home)
    with pytest.raises(ChainError, match="no chain comes so far"):
        judged(home, anchored, "liar", block=block)
    assert floor(home) == before
    assert judged(home, anchored, "honest").approved


def test_several_nodes_that_agree_on_a_height_are_believed(anchored: Path, home: Home):
    assert judged(home, anchored, "one", "two", block=10**6).approved
    assert floor(home).block == 10**6
    with pytest.raises(ChainError, match="no chain comes so far"):
        judged(home, anchored, "one", "two", block=2**53)


def test_a_chain_that_goes_on_at_its_pace_is_believed_of_one_node(anchored: Path, home: Home):
    a_year = 365 * 86400
    later = {"block": a_year // 2, "time": floor(home).time + a_year}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: float(later["time"]))
        assert judged(home, anchored, "one", **later).approved
    assert floor(home).block == later["block"]


def test_an_approval_that_was_over_does_not_come_back_with_the_clock(
    bundle: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = time.time()
    other = make_bundle(tmp_path / "other", "cd" * 32)
    for each in (bundle, other):
        actions.sign(each)
        actions.anchor(each, expires=int(now) + 3600)
        assert actions.verify(each).approved
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    assert actions.verify(bundle).exit_code == 16
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert actions.verify(bundle).exit_code == 16
    # the time is over for everything that was to end by it, whether it was asked about or not
    assert actions.verify(other).exit_code == 16
    assert actions.verify(other, offline=True, max_age=86400).exit_code == 16


def test_a_kept_proof_does_not_grow_younger_with_the_clock(anchored: Path, home: Home, monkeypatch: pytest.MonkeyPatch):
    actions.verify(anchored)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 7200)
    assert actions.verify(anchored, offline=True, max_age=3600).exit_code == 18
    monkeypatch.setattr(time, "time", lambda: now + 60)
    assert actions.verify(anchored, offline=True, max_age=3600).exit_code == 18
    assert actions.verify(anchored).approved


@pytest.mark.parametrize(
    "again",
    [
        lambda home, bundle: actions.anchor(bundle, home=home),
        lambda home, bundle: actions.revoke(bundle, home=home),
        lambda home, bundle: found_federation(home, Charter((make_card(home),), 1)),
        lambda home, bundle: own_federation(home),
    ],
    ids=["anchor", "revoke", "fed init", "any"],
)
def test_where_the_ledger_is_gone_no_federation_is_founded_unsaid(
    anchored: Path, home: Home, tmp_path: Path, again: Callable[[Home, Path], object]
):
    actions.revoke(anchored)
    for path in home.folder.glob("ledger.sqlite3*"):
        path.unlink()
    with pytest.raises(ChainError, match=r"has seen a federation .* put it back from a backup"):
        again(home, anchored)
    assert not home.ledger.exists()
    home.proofs.rename(tmp_path / "forgotten")
    actions.anchor(anchored)
    assert actions.verify(anchored).approved


def test_a_floor_of_the_version_before_counts(anchored: Path, home: Home, tmp_path: Path):
    copy_ledger(home, tmp_path / "backup")
    actions.revoke(anchored)
    (path,) = home.proofs.glob("floor-*.json")
    document = json.loads(path.read_bytes()) | {"format": "graphopt/floor/v1"}
    del document["time"]
    path.write_bytes(rfc8785.dumps(document))
    assert actions.verify(anchored).exit_code == 15
    assert json.loads(path.read_bytes())["format"] == "graphopt/floor/v2"
    path.write_bytes(rfc8785.dumps(document))
    restore_ledger(home, tmp_path / "backup")
    with pytest.raises(ChainError, match="went back"):
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
        {"time": "yesterday"},
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
    with pytest.raises(GraphoptError, match=r"floor .*; put it back from a backup, or remove it"):
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
