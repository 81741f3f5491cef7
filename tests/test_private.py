"""Private copies: nobody else can put something in their place, read them, or find what a killed process left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from graphopt import private
from graphopt.bundle import open_verified
from graphopt.bundle.place import taking_place
from graphopt.errors import UnsafeFolderError
from graphopt.private import PrivateFolder
from tests.governance.conftest import make_bundle


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files; nothing in it was swept yet."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(private, "_swept", set[tuple[Path, str]]())
    return folder


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o733])
def test_where_others_can_write_nothing_is_copied_and_nothing_loaded(mode: int, temporary: Path, tmp_path: Path):
    bundle = make_bundle(tmp_path / "bundle")
    temporary.chmod(mode)
    with pytest.raises(UnsafeFolderError, match=rf"others can write to .*tmp \(mode {mode:o}\); set TMPDIR to another"):
        open_verified(bundle)
    assert not any(temporary.iterdir())
    temporary.chmod(0o1777)  # as /tmp is: what is another's stays where it is
    open_verified(bundle).close()


def test_what_is_above_counts_and_so_do_links(temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (temporary / "inner").mkdir()
    temporary.chmod(0o777)
    (tmp_path / "link").symlink_to(temporary / "inner")
    for folder in (temporary / "inner", tmp_path / "link"):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with pytest.raises(UnsafeFolderError, match="others can write"):
            PrivateFolder()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can give files away")
def test_the_folder_of_another_user_is_not_taken(temporary: Path):
    os.chown(temporary, 12345, 12345)
    with pytest.raises(UnsafeFolderError, match="is another user's"):
        PrivateFolder()


def test_a_copy_is_for_its_user_alone(temporary: Path, tmp_path: Path):
    bundle = make_bundle(tmp_path / "bundle")
    before = os.umask(0)
    try:
        with open_verified(bundle) as verified:
            modes = {stat.S_IMODE(path.stat().st_mode) for path in verified.folder.rglob("*") if path.is_file()}
            assert (modes, stat.S_IMODE(verified.folder.stat().st_mode)) == ({0o600}, 0o700)
    finally:
        os.umask(before)
    assert not any(temporary.iterdir())


LOADS = """
import sys, tempfile
from pathlib import Path
tempfile.tempdir = sys.argv[1]
from graphopt.bundle import manifest
plain = manifest.check_content
def slow(record, digest, size):
    print("copied", flush=True)
    sys.stdin.read()
manifest.check_content = slow
manifest.open_verified(sys.argv[2])
"""


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_uses_is_not(temporary: Path, tmp_path: Path):
    bundle = make_bundle(tmp_path / "bundle")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LOADS, str(temporary), str(bundle)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"copied\n"
        (left,) = temporary.iterdir()
        with PrivateFolder():
            assert left.exists()  # its process lives
        process.send_signal(signal.SIGKILL)
    assert any(path.is_file() for path in left.rglob("*"))
    other = temporary / "graphopt-baseline"
    other.mkdir()
    private._swept.clear()  # pyright: ignore[reportPrivateUsage]
    with PrivateFolder() as mine:
        assert set(temporary.iterdir()) == {mine, other}


def test_what_was_killed_while_it_took_a_place_is_swept_by_the_next(temporary: Path, tmp_path: Path):
    code = (
        "import os, sys\nfrom graphopt.bundle.place import taking_place\n"
        "with taking_place(sys.argv[1]) as made:\n (made / 'plain').write_bytes(b'x'); os.kill(os.getpid(), 9)"
    )
    place = tmp_path / "opened"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code, str(place)], env=environment, check=False).returncode == -9
    (left,) = tmp_path.glob(".opened-*")
    kept = tmp_path / ".opened-archives"
    kept.mkdir()
    with taking_place(place) as made:
        (made / "manifest.json").write_bytes(b"")
    assert not left.exists()
    assert kept.exists()
    assert place.is_dir()
    assert stat.S_IMODE(place.stat().st_mode) == 0o755


def test_a_private_place_is_closed_to_others(tmp_path: Path):
    with taking_place(tmp_path / "opened", private=True) as made:
        (made / "native").mkdir(mode=0o755)
        (made / "native" / "a").write_bytes(b"")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "opened", *(tmp_path / "opened").rglob("*"))]
    assert modes == [0o700, 0o700, 0o600]


def test_a_sweeper_that_comes_in_between_takes_nothing_that_is_used(temporary: Path, monkeypatch: pytest.MonkeyPatch):
    """The folder is swept after it was made and before it was locked: another one is made."""
    plain, swept = tempfile.mkdtemp, list[Path]()

    def overtaken(*arguments: str, **options: object) -> str:
        made = plain(*arguments, **options)  # type: ignore[arg-type]  # pyright: ignore
        if not swept:
            swept.append(Path(made))
            private._sweep(Path(made))  # pyright: ignore[reportPrivateUsage]
        return made  # pyright: ignore[reportUnknownVariableType]

    monkeypatch.setattr(tempfile, "mkdtemp", overtaken)
    with PrivateFolder() as folder:
        assert folder.is_dir()
        assert folder != swept[0]
