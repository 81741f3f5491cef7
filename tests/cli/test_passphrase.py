"""A passphrase comes from a file, the environment or the terminal; and never shows."""

from __future__ import annotations

import os
import pty
import select
import sys
from pathlib import Path

import pytest

from graphopt_governance.errors import KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.keys.member_key import load_member_key
from graphopt_governance.keys.signing_key import load_signing_key
from tests.cli.command import DIGITS, graphopt

CANARY = "canary-passphrase-7d1f"
SCRIPT = """
from graphopt.cli.failure import sentences_for_errors
from graphopt.cli.passphrase import prompted
from graphopt.cli.progress import step
from graphopt_governance.home import Home
from graphopt_governance.keys.signing_key import load_signing_key
from graphopt_governance.keys.sealing_key import load_sealing_key
home, passphrase = Home.default(), prompted()
try:
    with sentences_for_errors(), step("working"):
        print("made", load_signing_key(home.signing_key, passphrase).hint.hex()[:8])
        print("made", load_sealing_key(home.sealing_key, passphrase).recipient_text[:4])
finally:
    print("end")
"""


def typed(answers: list[str]) -> str:
    """What a terminal shows while SCRIPT runs on it and each question gets its answer."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-c", SCRIPT], os.environ | {"PYTHONPATH": ":".join(sys.path)})
    shown, waiting = b"", list(answers)
    try:
        while select.select([terminal], [], [], 30)[0]:
            try:
                more = os.read(terminal, 4096)
            except OSError:
                break
            shown += more
            # a question is the last thing on the terminal: nothing that moves writes over it
            if waiting and shown.rstrip(b" ").endswith(b":") and more:
                assert not select.select([terminal], [], [], 0.3)[0]
                os.write(terminal, waiting.pop(0).encode() + b"\n")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    return shown.decode()


def test_a_person_is_asked_twice_when_keys_are_made_and_once_when_they_are_opened(home: Path):
    shown = typed([CANARY, CANARY])
    assert shown.count("made") == 2
    assert shown.count("Passphrase") == 1
    assert shown.count("The same again") == 1
    assert CANARY not in shown
    assert b"ENCRYPTED" in Home(home).signing_key.read_bytes()
    shown = typed([CANARY])
    assert shown.count("made") == 2
    assert shown.count("Passphrase of your keys") == 1
    assert CANARY not in shown
    assert "another passphrase" in typed(["wrong"])


def test_two_different_answers_make_nothing(home: Path):
    assert "differ; nothing was made" in typed([CANARY, "other"])
    assert not Home(home).signing_key.exists()


def test_nothing_typed_makes_keys_that_protect_nothing_and_says_so(home: Path):
    shown = typed(["", ""])
    assert shown.count("protect nothing") == 1
    assert shown.count("made") == 2
    assert load_signing_key(Home(home).signing_key, lambda: None)


def test_without_a_terminal_the_key_is_made_unprotected_and_that_is_said(tmp_path: Path):
    bundle = tmp_path / "digits.bundle"
    assert graphopt("compile", DIGITS, "-o", bundle, "--no-check").code == 0
    first = graphopt("sign", bundle)
    assert "protect nothing" in first.err
    assert graphopt("sign", bundle).err == ""


def test_the_environment_comes_before_the_terminal(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "secret").write_text(CANARY)
    monkeypatch.setenv("GRAPHOPT_PASSPHRASE_FILE", str(tmp_path / "secret"))
    assert "Passphrase" not in typed([])
    monkeypatch.delenv("GRAPHOPT_PASSPHRASE_FILE")
    with pytest.raises(KeyFileError, match="needs a passphrase"):
        load_signing_key(Home(home).signing_key)
    with pytest.raises(KeyFileError, match="no member key"):
        load_member_key(Home(home).member_key, make=False)
