"""A ledger's file may be anybody's: whatever is in it, reading ends, and in one sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from graphopt.errors import GraphoptError
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.protocol.action import ALL_RIGHTS
from graphopt_governance.protocol.contract import Founder

from .federation import digest, key

NUMBERS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r)"
ALTERATIONS = (
    "UPDATE ledger SET value = x'78' WHERE key = 'chain'",
    "DELETE FROM ledger WHERE key = 'contract'",
    "UPDATE blocks SET header = 7",
    "DELETE FROM blocks",
    "UPDATE nodes SET value = 7",
    "UPDATE transactions SET raw = x'c0'",
    "UPDATE transactions SET raw = 7",
    "DROP TABLE events",
    f"ALTER TABLE ledger RENAME TO l; CREATE VIEW ledger AS {NUMBERS} SELECT n AS key, x'00' AS value FROM r",
    "CREATE TRIGGER t AFTER INSERT ON blocks BEGIN DELETE FROM events; END",
)


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_an_altered_ledger_is_one_sentence(tmp_path: Path, alteration: str) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger.create(path, [Founder(key(1).account, ALL_RIGHTS, digest("key"))])
    with sqlite3.connect(path) as db:
        db.executescript(alteration)
    with pytest.raises(GraphoptError):
        read(path)


def read(path: Path) -> None:
    """All that is read of a ledger by whoever joins it, looks at it and audits it."""
    ledger = Ledger.open(path)
    ledger.snapshot().state.members()
    ledger.events()
    ledger.history()
