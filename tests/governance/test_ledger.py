"""The embedded chain: what it reported outlives `kill -9`, writers wait for each other, no lie goes unnoticed."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.opening import open_chain
from graphopt_governance.errors import ActionError, ChainError
from graphopt_governance.home import Home
from graphopt_governance.protocol import contract
from graphopt_governance.protocol.action import Action, Kind, model_id
from graphopt_governance.protocol.contract import Status, execution

from .federation import digest, key
from .ledger_work import FOUNDERS, anchor, anchor_many, create, everything, started

KILLS = int(os.environ.get("GRAPHOPT_KILLS", "12"))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A federation of one."""
    return Ledger.create(tmp_path / "ledger.sqlite3", FOUNDERS)


def test_what_was_reported_survives_kill_9_and_nothing_is_there_twice(ledger: Ledger):
    chance = random.Random(7)
    reported: dict[str, int] = {}
    moments: list[float] = []
    took: list[float] = []
    for attempt in range(KILLS):
        process, heard = started(anchor_many, ledger.path, str(attempt), 10_000)
        time.sleep(chance.uniform(0.0, 0.5))
        killed = time.monotonic()
        process.kill()
        process.join()
        messages = everything(heard)
        begun = [value for what, value in messages if what == "begins"]
        took += [later - earlier for earlier, later in pairwise(begun)]
        if messages and messages[-1][0] == "begins":
            moments.append(killed - begun[-1])
        reported |= {what: value for what, value in messages if what != "begins"}
    # the moments fall into the transaction, and over all of it
    whole = median(took) if took else max(moments)
    spread = Counter(min(int(10 * moment / whole), 10) for moment in moments)
    print(f"{len(moments)} of {KILLS} while anchoring, by tenths of its {whole:.3f} s:", sorted(spread.items()))
    assert len(moments) > KILLS // 2
    assert len(spread) > 1

    again = Ledger.open(ledger.path)
    snapshot = again.snapshot()
    for name, block in reported.items():
        assert snapshot.state.record(digest(name)).status is Status.APPROVED
        assert [event.block for event in again.events("Anchored", digest(name))] == [block]
    blocks = [event.block for event in again.events("Anchored")]
    assert blocks == list(range(2, snapshot.block + 1))
    assert len(reported) <= len(blocks) <= len(reported) + KILLS
    assert anchor(again, "afterwards") == snapshot.block + 1


def test_a_ledger_whose_making_was_killed_is_made_again(tmp_path: Path):
    chance = random.Random(3)
    for attempt in range(6):
        path = tmp_path / str(attempt) / "ledger.sqlite3"
        process, heard = started(create, path)
        time.sleep(chance.uniform(0.0, 0.2))
        process.kill()
        process.join()
        told = everything(heard)
        made = Ledger.create(path, FOUNDERS)
        assert told in ([], [made.domain.chain_id])
        assert made.domain == Ledger.create(path, FOUNDERS).domain
        assert anchor(made, "a") == 2


def test_writers_in_several_processes_wait_for_each_other(ledger: Ledger):
    running = [started(anchor_many, ledger.path, name, 4) for name in "abc"]
    blocks = [block for _, heard in running for what, block in everything(heard) if what != "begins"]
    for process, _ in running:
        process.join()
        assert process.exitcode == 0
    assert sorted(blocks) == list(range(2, 14))
    assert len(ledger.events("Anchored")) == 12


def test_processes_that_make_the_ledger_at_once_share_one(tmp_path: Path):
    path = tmp_path / "ledger.sqlite3"
    running = [started(create, path) for _ in range(4)]
    told = [chain_id for _, heard in running for chain_id in everything(heard)]
    for process, _ in running:
        process.join()
        assert process.exitcode == 0
    assert told == [Ledger.open(path).domain.chain_id] * 4


def test_an_action_that_is_turned_down_leaves_no_block(ledger: Ledger):
    before = ledger.snapshot().block
    anchor(ledger, "a")
    with pytest.raises(ActionError, match="the federation turned this down: a: the record has changed"):
        anchor(ledger, "a")
    assert ledger.snapshot().block == before + 1


def test_two_ledgers_take_no_signature_of_each_other(ledger: Ledger, tmp_path: Path):
    other = Ledger.create(tmp_path / "other.sqlite3", FOUNDERS)
    assert other.domain.contract != ledger.domain.contract
    assert other.domain.chain_id != ledger.domain.chain_id
    action = Action(Kind.ANCHOR, subject=digest("a"), name=model_id("a"), amount=1, epoch=1, deadline=2**40)
    signature = key(1).sign(action.identity(ledger.domain))
    with pytest.raises(ActionError):
        other.submit(execution(action, [signature]), "a")
    ledger.submit(execution(action, [signature]), "a")


def test_an_altered_state_is_noticed_or_was_not_needed(ledger: Ledger):
    anchor(ledger, "a")
    expected = ledger.snapshot().state.record(digest("a"))
    noticed = 0
    with sqlite3.connect(ledger.path, isolation_level=None) as db:
        for row, value in db.execute("SELECT key, value FROM nodes").fetchall():
            changed = value[:-1] + bytes([value[-1] ^ 1]) if value else b"\x80"
            db.execute("UPDATE nodes SET value = ? WHERE key = ?", (changed, row))
            try:
                assert ledger.snapshot().state.record(digest("a")) == expected
            except ChainError as error:
                assert "altered" in str(error)  # noqa: PT017 - either outcome is right
                noticed += 1
            db.execute("UPDATE nodes SET value = ? WHERE key = ?", (value, row))
    db.close()
    assert noticed >= 3


def test_an_altered_head_is_noticed(ledger: Ledger):
    with sqlite3.connect(ledger.path, isolation_level=None) as db:
        [(header,)] = db.execute("SELECT header FROM blocks WHERE number = 1").fetchall()
        for position in range(0, len(header), 40):
            changed = bytearray(header)
            changed[position] ^= 4
            db.execute("UPDATE blocks SET header = ? WHERE number = 1", (bytes(changed),))
            with pytest.raises(ChainError):
                ledger.snapshot()
    db.close()


def test_a_contract_that_is_not_the_federations_is_not_believed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(contract.artifact(), "code_hash", "00" * 32)
    with pytest.raises(ChainError, match="is not the federation's"):
        ledger.snapshot()


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_ledger_is_one_sentence(tmp_path: Path, content: bytes):
    home = Home(tmp_path)
    home.ledger.write_bytes(content)
    with pytest.raises(ChainError, match="ledger"):
        open_chain(home)


def test_the_recursion_limit_is_left_as_it_was(ledger: Ledger):
    limit = sys.getrecursionlimit()
    anchor(ledger, "a")
    assert sys.getrecursionlimit() == limit


def test_block_time_never_goes_back(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    first = ledger.snapshot().time
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    anchor(ledger, "a")
    assert ledger.snapshot().time == first + 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE blocks SET header = 'x'",
        "UPDATE blocks SET header = 5",
        "UPDATE blocks SET hash = 'x'",
        "UPDATE nodes SET value = 'x'",
        "UPDATE nodes SET value = 7",
        "UPDATE ledger SET value = 'zz' WHERE key = 'chain'",
        "UPDATE ledger SET value = 'abc' WHERE key = 'contract'",
        "DELETE FROM ledger WHERE key = 'contract'",
    ],
)
def test_what_is_of_another_kind_than_it_was_written_is_one_sentence(ledger: Ledger, change: str):
    with sqlite3.connect(ledger.path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(ChainError, match=r"^[^\n]+$"):
        Ledger.open(ledger.path).snapshot().state.number("epoch")


@pytest.mark.parametrize("change", ["data = 'x'", "data = 1", "topics = 'x'", "topics = x'00'"])
def test_events_that_are_none_are_left_out(ledger: Ledger, change: str):
    assert ledger.events()
    with sqlite3.connect(ledger.path) as db:
        db.execute(f"UPDATE events SET {change}")
        db.execute("UPDATE blocks SET time = 'never'")
    db.close()
    assert ledger.events() == []
