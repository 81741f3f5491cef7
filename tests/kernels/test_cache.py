"""The cache of object code: nobody's code but one's own is ever taken from it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

import graphopt_kernels.emit
from graphopt_kernels import cache
from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.bind import run
from graphopt_kernels.trust import read_own, why_others_can_write

SPEC, TARGET = run.LOOP, "x86-64-v3"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that does not exist yet; what is emitted is `code`, and nothing heavy is imported for it."""
    monkeypatch.setattr(graphopt_kernels.emit, "emit", lambda spec, target: b"code")  # pyright: ignore[reportUnknownLambdaType]
    monkeypatch.setenv("GRAPHOPT_CACHE", str(tmp_path / "mine" / "cache"))
    return tmp_path / "mine" / "cache"


def poisoned(folder: Path) -> Path:
    """An entry with other code, whole in itself."""
    assert cache.emit_cached(SPEC, TARGET) == b"code"
    (entry,) = (folder / "objects").iterdir()
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    import hashlib

    entry.write_bytes(cache.HEADER + hashlib.sha256(b"evil").digest() + b"evil")
    assert cache.emit_cached(SPEC, TARGET) == b"evil"  # its own user may put there what they like
    return entry


def _by_link(folder: Path) -> None:
    aside = folder.parent.parent / "open"
    aside.mkdir(mode=0o777)
    aside.chmod(0o777)
    folder.rename(aside / "cache")
    folder.symlink_to(aside / "cache")


OPENED: dict[str, Callable[[Path], object]] = {
    "the cache": lambda folder: folder.chmod(0o777),
    "its folder of objects": lambda folder: (folder / "objects").chmod(0o773),
    "the folder above, for a group": lambda folder: folder.parent.chmod(0o770),
    "the folder that a link leads to": _by_link,
    "the entry": lambda folder: [entry.chmod(0o666) for entry in (folder / "objects").iterdir()],
}


@pytest.mark.parametrize("what", OPENED)
def test_what_others_could_have_written_is_emitted_anew(what: str, folder: Path) -> None:
    poisoned(folder)
    OPENED[what](folder)
    assert cache.emit_cached(SPEC, TARGET) == b"code"
    why = cache.why_unused()
    assert (why is None) == (what == "the entry")
    if why is not None:
        assert why.startswith(f"the cache of kernels in {folder} is not used, because others can write to ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can give files away")
@pytest.mark.parametrize("what", ["folder", "objects", "entry"])
def test_what_belongs_to_another_user_is_not_taken(what: str, folder: Path) -> None:
    entry = poisoned(folder)
    os.chown({"folder": folder, "objects": entry.parent, "entry": entry}[what], 12345, 12345)
    assert cache.emit_cached(SPEC, TARGET) == b"code"


def test_a_link_in_the_place_of_an_entry_is_not_followed(folder: Path, tmp_path: Path) -> None:
    entry = poisoned(folder)
    entry.rename(tmp_path / "evil")
    entry.symlink_to(tmp_path / "evil")
    assert cache.emit_cached(SPEC, TARGET) == b"code"
    entry.unlink()
    os.mkfifo(entry)
    assert cache.emit_cached(SPEC, TARGET) == b"code"


def test_a_cache_in_a_folder_like_tmp_is_used(folder: Path) -> None:
    folder.parent.mkdir()
    folder.parent.chmod(0o1777)
    assert cache.why_unused() is None
    poisoned(folder)
    assert why_others_can_write(folder.parent, shared=True) is None
    assert why_others_can_write(folder.parent) is not None


def test_a_link_that_leads_to_itself_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert "leads to itself" in str(why_others_can_write(tmp_path / "round"))
    assert read_own(tmp_path / "none") is None


def test_two_specs_have_two_entries(folder: Path) -> None:
    cache.emit_cached(SPEC, TARGET)
    cache.emit_cached(KernelSpec.of("other"), TARGET)
    assert len(list((folder / "objects").iterdir())) == 2
