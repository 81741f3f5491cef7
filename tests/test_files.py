"""Nothing that is no plain file hangs a command, and nothing is read past its limit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graphopt.files import FileError, open_below, open_file, read_file
from tests.governance.conftest import make_bundle

KINDS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a device that never ends": lambda path: path.symlink_to("/dev/zero"),
    "a terminal": lambda path: path.symlink_to("/dev/tty"),
    "a folder": os.mkdir,
    "a link to itself": lambda path: path.symlink_to(path),
}

ALL = """
import sys, json
from tests.cli.command import graphopt
for command in json.loads(sys.argv[1]):
    done = graphopt(*command)
    print(json.dumps([command[:1], done.code, done.out, done.err]), flush=True)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_no_command_waits_for_what_is_no_file(kind: str, tmp_path: Path) -> None:
    import json

    odd, bundle, other = tmp_path / "odd", make_bundle(tmp_path / "bundle"), tmp_path / "other"
    KINDS[kind](odd)
    (tmp_path / "key.pem").write_text("no key")
    commands: list[list[str]] = [
        ["verify", str(bundle), "--signature", str(odd), "--public-key", str(odd)],
        ["verify", str(bundle), "--signature", str(odd), "--public-key", str(tmp_path / "key.pem")],
        ["verify", str(bundle), "--policy", str(odd)],
        ["verify", str(bundle), "--proof", str(odd), "--checkpoint", "00" * 32],
        ["run", str(bundle), "--policy", str(odd)],
        ["compile", str(odd), "-o", str(other)],
        ["optimize", str(odd), "-o", str(other)],
        ["report", "ab" * 32, str(odd), "--yes"],
        ["open", str(odd), "-o", str(other), "--no-gate"],
        ["seal", str(odd), "-o", str(other)],
        ["approve", str(odd), "--yes"],
        ["audit", "replay", str(odd)],
        ["fed", "join", str(odd), "--yes"],
    ]
    if kind != "a folder":
        commands += [["inspect", str(odd)], ["diff", str(odd), str(odd)], ["bench", str(odd)]]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((*sys.path, str(Path(__file__).parents[1]))),
        "GRAPHOPT_HOME": str(tmp_path / "home"),
    }
    done = subprocess.run(
        [sys.executable, "-c", ALL, json.dumps(commands)],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=100,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(commands)
    for command, (_, code, out, err) in zip(commands, answers, strict=True):
        assert (code, out) == (2, ""), (command, code, out, err)
        assert len(err.splitlines()) <= 2, (command, err)
    assert not other.exists()


def test_inputs_come_from_a_plain_file(tmp_path: Path) -> None:
    from graphopt.cli.feeds import read_npz

    os.mkfifo(tmp_path / "in.npz")
    with pytest.raises(FileError, match=r"in\.npz is not a plain file"):
        read_npz(tmp_path / "in.npz", {})


def test_a_file_is_read_to_its_limit_and_no_further(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_file(tmp_path / "a", 5) == b"12345"
    with pytest.raises(FileError, match="has more than 4 bytes"):
        read_file(tmp_path / "a", 4)
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileError, match="has more than"):
        read_file(tmp_path / "holes", 1 << 30)
    with pytest.raises(FileError, match="has more than 4096 bytes"):
        read_file(Path("/proc/self/smaps"), 4096)  # says that it has none
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none")


def test_below_a_folder_no_part_of_a_name_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_bytes(b"a")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "in" / "a")
    with open_below(tmp_path, "in/a") as file:
        assert file.read() == b"a"
    for name in ("link/a", "in/b"):
        with pytest.raises(OSError, match=r"symbolic|Not a directory"):
            open_below(tmp_path, name)
