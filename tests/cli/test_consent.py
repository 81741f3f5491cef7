"""Nothing is signed unseen: what is shown, who is asked, and what counts as yes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from graphopt.cli.consent import NotSignedError, consent

ASKS = """
from graphopt.cli.consent import NotSignedError, consent
try:
    consent(["  model: \\x1b[2Jdigits"], yes=False)
    print("SIGNED")
except NotSignedError as error:
    print(error)
"""


def at_a_terminal(answer: bytes) -> str:
    """Everything that a process which asks for consent prints on a terminal where `answer` is typed at its question."""
    here, there = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", ASKS], stdin=there, stdout=there, stderr=there)
    os.close(there)
    shown, asked = b"", False
    while True:
        try:
            piece = os.read(here, 4096)
        except OSError:
            break
        shown += piece
        if not asked and b"[y/N]" in shown:
            asked = True
            os.write(here, answer)
    process.wait(timeout=30)
    os.close(here)
    return shown.decode()


@pytest.mark.parametrize("answer", [b"y\n", b"YES\n"])
def test_a_person_at_a_terminal_signs_by_saying_yes(answer: bytes) -> None:
    assert "SIGNED" in at_a_terminal(answer)


@pytest.mark.parametrize("answer", [b"\n", b"n\n", b"yy\n", b"\x04"])
def test_anything_but_yes_signs_nothing(answer: bytes) -> None:
    shown = at_a_terminal(answer)
    assert "SIGNED" not in shown
    assert "nothing was signed" in shown


def test_what_is_shown_does_not_steer_the_terminal() -> None:
    shown = at_a_terminal(b"n\n")
    assert "\x1b" not in shown
    assert "  model: \\x1b[2Jdigits" in shown


def test_without_a_terminal_nobody_is_taken_to_agree(capsys: pytest.CaptureFixture[str]) -> None:
    with CliRunner().isolation(input="y\n"), pytest.raises(NotSignedError, match="--yes"):
        consent(["approve a manifest"], yes=False)


def test_yes_still_shows_what_is_signed(capsys: pytest.CaptureFixture[str]) -> None:
    consent(["approve a manifest", "  digest: ab"], yes=True)
    assert capsys.readouterr().err.splitlines() == ["approve a manifest", "  digest: ab"]
