"""A ledger's file may be anybody's: whatever is in it, reading ends, and in one sentence."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from graphopt.errors import GraphoptError
from graphopt_governance.chains.ledger import Ledger
from graphopt_governance.chains.ledger_file import beside
from graphopt_governance.protocol.action import ALL_RIGHTS
from graphopt_governance.protocol.contract import Founder

from .federation import digest, key

FILES = int(os.environ.get("GRAPHOPT_LEDGERS", "300"))
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
    "UPDATE blocks SET time = -5",
    "UPDATE blocks SET time = 9223372036854775807",
    "UPDATE blocks SET time = 1e300",
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


def test_random_bytes_anywhere_in_a_ledger_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    Ledger.create(path, [Founder(key(1).account, ALL_RIGHTS, digest("key"))])
    whole, chance, refused = path.read_bytes(), random.Random(27), 0
    for _ in range(FILES):
        altered = bytearray(whole)
        # most of it is pages of nodes: the header, the schema and the short tables are hit as often
        where = chance.choice((100, 4096, len(whole)))
        for at in chance.sample(range(where), chance.choice((1, 1, 8, 64))):
            altered[at] = chance.randrange(256)
        path.write_bytes(altered[: chance.choice((len(whole), len(whole), chance.randrange(len(whole))))])
        for opened in (Ledger.open, Ledger.of_others):
            try:
                read(path, opened)
            except GraphoptError as error:
                refused += 1
                assert "\n" not in str(error)  # noqa: PT017 - either it is read or it is one sentence
                assert str(error).isprintable()  # noqa: PT017
        for name in ("-wal", "-shm", "-journal"):
            beside(path, name).unlink(missing_ok=True)
    assert refused > FILES // 2


def read(path: Path, opened: Callable[[Path], Ledger] = Ledger.open) -> None:
    """All that is read of a ledger by whoever joins it, looks at it and audits it."""
    ledger = opened(path)
    snapshot = ledger.snapshot()
    snapshot.state.members()
    if snapshot.ancestor is not None:
        snapshot.ancestor(0)
    ledger.events()
    ledger.history()
    ledger.block_hashes()
