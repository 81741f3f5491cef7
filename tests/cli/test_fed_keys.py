"""A member's keys on the command line: rotation, another passphrase, and nothing secret anywhere it could be read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.keys.sealing_key import load_sealing_key
from graphopt_governance.keys.signing_key import load_signing_key
from tests.cli.organisations import Organisation, federation, organisations

CANARY = "canary-of-a-passphrase-61f0"


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Organisation]:
    monkeypatch.chdir(tmp_path)
    members = organisations(tmp_path, "north", "east")
    federation(members, "--quorum", 2)
    return members


def own(member: Organisation) -> dict[str, object]:
    """The member's own row in what `fed status` shows."""
    (row,) = [row for row in member.graphopt("fed", "status", "--json").data["members"] if row["you"]]
    return row


def test_a_member_rotates_and_his_home_follows_the_chain(two: list[Organisation]) -> None:
    north, east = two
    before = own(east)
    drafted = east.graphopt("fed", "member", "rotate", "-o", "r.json", "--yes", "--json").data
    assert (drafted["needed"], drafted["signatures"]) == (2, 1)
    assert own(east) == before
    assert north.graphopt("approve", "r.json", "--yes").code == 0
    assert north.graphopt("fed", "relay", "r.json").code == 0
    after = own(east)
    assert (after["number"], after["name"]) == (before["number"], before["name"])
    assert after["account"] != before["account"]
    assert (east.home.keys / f"old-{str(before['account'])[2:]}" / "member.json").exists()
    # he goes on to vote with the new key
    north.graphopt("fed", "quorum", 1, "-o", "q.json")
    assert east.graphopt("approve", "q.json", "--yes").code == 0


def test_a_rotation_needs_a_yes_and_a_member(two: list[Organisation], tmp_path: Path) -> None:
    assert "nothing was signed" in two[0].refused("fed", "member", "rotate")
    stranger = organisations(tmp_path, "stranger")[0]
    stranger.card()
    stranger.graphopt("fed", "join", "north.invitation.json", "--ledger", two[0].home.ledger, "--yes")
    assert "is not a member's account" in stranger.refused("fed", "member", "rotate", "--yes")
    assert not stranger.home.next_keys.exists()


def test_one_alone_rotates_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    north = organisations(tmp_path, "north")[0]
    federation([north])
    before = own(north)
    assert north.graphopt("fed", "member", "rotate", "--execute", "--yes", "--json").data["done"] is True
    assert not north.home.next_keys.exists()
    assert own(north)["account"] != before["account"]


def test_the_passphrase_is_changed_from_files_and_never_from_an_argument(
    two: list[Organisation], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    north = two[0]
    assert "there is no new passphrase" in north.refused("fed", "passphrase")
    (tmp_path / "new").write_text(CANARY + "\n")
    monkeypatch.setenv("GRAPHOPT_NEW_PASSPHRASE_FILE", str(tmp_path / "new"))
    assert north.graphopt("fed", "passphrase", "--json").data["keys"] == 3
    assert b"ENCRYPTED" in north.home.signing_key.read_bytes()
    assert "needs a passphrase" in north.refused("fed", "card", "--yes")
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE", "wrong")
    assert "another passphrase" in north.refused("fed", "card", "--yes")
    assert north.graphopt("fed", "status").code == 0
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE", CANARY)
    done = north.graphopt("fed", "passphrase", "--none")
    assert done.code == 0
    assert "protect nothing" in done.err
    assert "ENCRYPTED" not in north.home.signing_key.read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in north.home.keys.iterdir()} == {0o600}


def test_nothing_secret_is_printed_logged_shown_by_ps_or_inherited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that go well and that fail, with tracebacks on, and what /proc shows of them meanwhile."""
    home = Home(tmp_path / "home")
    (tmp_path / "secret").write_text(CANARY)
    watch = tmp_path / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(
        "import atexit, pathlib\n"
        "def look():\n"
        "    for name in ('cmdline', 'environ'):\n"
        "        content = pathlib.Path('/proc/self', name).read_bytes()\n"
        f"        with open({str(tmp_path / 'seen')!r}, 'ab') as file: file.write(content)\n"
        "    import os\n"
        f"    with open({str(tmp_path / 'seen')!r}, 'a') as file: file.write(str(dict(os.environ)))\n"
        "atexit.register(look)\n"
    )
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(watch), *sys.path]),
        "GRAPHOPT_HOME": str(home.folder),
        "GRAPHOPT_PASSPHRASE_FILE": str(tmp_path / "secret"),
        "GRAPHOPT_TRACEBACK": "1",
    }
    program = "from graphopt.cli.main import main; main()"
    shown = b""
    for arguments in (
        ("fed", "init", "--yes"),
        ("fed", "quorum", "1", "--execute", "--yes"),
        ("audit", "export", "-o", "a.json", "--sign", "--yes"),
        ("sign", "nowhere"),
        ("fed", "card", "--name", "../x"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        shown += done.stdout + done.stderr
    assert b"Traceback" in shown
    # given in the environment, it stays in this process and is not handed to those that it starts
    environment |= {"GRAPHOPT_PASSPHRASE": CANARY, "GRAPHOPT_NEW_PASSPHRASE": CANARY}
    del environment["GRAPHOPT_PASSPHRASE_FILE"]
    (watch / "sitecustomize.py").write_text(
        "import atexit, os\n"
        f"look = lambda: open({str(tmp_path / 'inherited')!r}, 'a').write(str(dict(os.environ)))\n"
        "atexit.register(look)\n"
    )
    signed = [sys.executable, "-c", program, "audit", "export", "-o", "b.json", "--sign", "--yes"]
    subprocess.run(signed, cwd=tmp_path, env=environment, capture_output=True, check=True)
    assert "GRAPHOPT_HOME" in (tmp_path / "inherited").read_text()

    def secret() -> str:
        return CANARY

    member = load_member_key(home.member_key, secret, make=False)
    signing = load_signing_key(home.signing_key, secret, make=False)
    sealing = load_sealing_key(home.sealing_key, secret, make=False)
    numbers = [key.private.private_numbers().private_value for key in (member, signing)]
    secrets = [CANARY, str(sealing.identity), *(f"{number:064x}" for number in numbers), *map(str, numbers)]
    # and what Python itself would show of them in a traceback or a log
    shown += repr((member, signing, sealing)).encode() + (tmp_path / "seen").read_bytes()
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "secret":
            shown += path.read_bytes()
    assert len(shown) > 5000
    for text in secrets:
        assert text.encode() not in shown
    for number in numbers:
        assert number.to_bytes(32, "big") not in shown


def test_two_who_found_in_one_home_at_once_make_one_federation(tmp_path: Path) -> None:
    program = "from graphopt.cli.main import main; main()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GRAPHOPT_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", program, "fed", "init", "--yes", "-o"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    files = [str(tmp_path / f"{number}.json") for number in range(3)]
    running = [subprocess.Popen([*command, file], env=environment, **streams) for file in files]
    ended = [(process.communicate(), process.returncode) for process in running]
    assert sorted(code for _, code in ended) == [0, 2, 2]
    for (_, err), code in ended:
        if code:
            assert "already" in str(err).splitlines()[-1]
    assert len(list(tmp_path.glob("*.json"))) == 1
    member = Organisation(tmp_path / "home")
    assert len(member.graphopt("fed", "status", "--json").data["members"]) == 1


def test_files_that_cannot_be_used_are_one_sentence(two: list[Organisation], tmp_path: Path) -> None:
    north = two[0]
    north.home.member_key.chmod(0o644)
    assert "chmod 600" in north.refused("fed", "card", "--yes")
    north.home.member_key.unlink()
    north.home.member_key.symlink_to(two[1].home.member_key)
    assert "cannot be opened" in north.refused("fed", "card", "--yes")
    assert north.graphopt("fed", "status").code == 2
    north.home.federation.write_text("{}")
    assert "cannot be used" in north.refused("fed", "log")
    assert "is a folder" in two[1].refused("fed", "card", "--yes", "-o", tmp_path)
    assert "is no folder" in two[1].refused("fed", "quorum", 1, "-o", tmp_path / "none" / "q.json")
