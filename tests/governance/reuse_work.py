"""Looking for a bundle that a federation approved, and what to expect where none can be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphopt_governance.gate import ChainGate
from graphopt_governance.home import Home
from graphopt_governance.share.reuse import Search, fetch_approved
from graphopt_governance.share.store import Store

WANTED: dict[str, Any] = {
    "source": {"sha256": "ab" * 32},
    "options": {"level": "exact"},
    "targets": ["x86-64-v3"],
}
"""What `make_bundle` says it was made from."""


def fetch(owner: Home, store: Store, place: Path, wanted: dict[str, Any] = WANTED) -> Search:
    return fetch_approved(wanted, place, store, ChainGate.default(owner), home=owner, passphrase=lambda: None)


def nothing(search: Search, place: Path, sentence: str) -> None:
    """Nothing was taken, this is said for the one candidate, and nothing was left."""
    assert search.fetched is None
    assert len(search.passed_over) == 1
    assert sentence in search.passed_over[0]
    assert list(place.parent.iterdir()) == []
