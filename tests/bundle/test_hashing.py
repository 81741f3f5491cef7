"""A file's digest is that of its bytes, however it is read, and whatever goes wrong on the way is told."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path
from typing import Any

import pytest

from graphopt.bundle import hashing
from graphopt.bundle.hashing import hash_file

PIECE = 1 << 20


def readers() -> int:
    return sum(thread.name == "graphopt-read" for thread in threading.enumerate())


@pytest.fixture(params=["at once", "read ahead"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_LARGE", 0 if request.param == "read ahead" else 1 << 40)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, 5 * PIECE + 7])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_digest_is_that_of_the_bytes_up_to_the_limit(tmp_path: Path, size: int, more: int):
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    (tmp_path / "file").write_bytes(data)
    limit = max(0, size + more)
    copy = io.BytesIO()
    with io.FileIO(tmp_path / "file") as file:
        digest, counted = hash_file(file, limit, copy)
    assert (digest, counted) == (hashlib.sha256(data[:limit]).hexdigest(), len(data[:limit]))
    assert copy.getvalue() == data[:limit]


@pytest.mark.usefixtures("way")
def test_a_disk_that_is_full_is_told_and_leaves_no_thread(tmp_path: Path):
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(28, "No space left on device")

    (tmp_path / "file").write_bytes(bytes(3 * PIECE))
    before = readers()
    with io.FileIO(tmp_path / "file") as file, pytest.raises(OSError, match="No space left"):
        hash_file(file, 3 * PIECE, Full())
    assert readers() == before
