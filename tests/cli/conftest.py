"""Keys and ledger of their own for every test of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that nobody else has; nothing of the user's is touched."""
    folder = tmp_path_factory.mktemp("home") / "graphopt"
    monkeypatch.setenv("GRAPHOPT_HOME", str(folder))
    for name in ("GRAPHOPT_CHAIN", "GRAPHOPT_PASSPHRASE", "GRAPHOPT_PASSPHRASE_FILE", "GRAPHOPT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    return folder
