"""Several organisations on one machine: each has a home of its own, and runs commands there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from graphopt_governance.home import Home
from tests.cli import command
from tests.cli.command import Done


@dataclass(frozen=True)
class Organisation:
    """One member: `graphopt` and `refused` of `tests.cli.command`, in his home."""

    folder: Path

    @property
    def home(self) -> Home:
        return Home(self.folder)

    @property
    def name(self) -> str:
        return self.folder.name

    def graphopt(self, *arguments: object) -> Done:
        with mock.patch.dict(os.environ, {"GRAPHOPT_HOME": str(self.folder)}):
            return command.graphopt(*arguments)

    def refused(self, *arguments: object) -> str:
        """The last line of a command that must fail with exit code 2; what it showed before that may be anything."""
        done = self.graphopt(*arguments)
        assert done.code == 2, (done.code, done.out, done.err)
        assert done.out == ""
        return done.err.splitlines()[-1].removeprefix("graphopt: ")

    def card(self, *arguments: object) -> Path:
        """His card, in a file beside his home."""
        path = self.folder.parent / f"{self.name}.card.json"
        done = self.graphopt("fed", "card", "-o", path, "--yes", *arguments)
        assert done.code == 0, done.err
        return path


def organisations(folder: Path, *names: str) -> list[Organisation]:
    return [Organisation(folder / name) for name in names]


def federation(members: list[Organisation], *arguments: object) -> Path:
    """Let the first found a federation with the others and all join it; the invitation."""
    first, *others = members
    invitation = first.folder.parent / f"{first.name}.invitation.json"
    cards = [argument for member in others for argument in ("--member", member.card())]
    done = first.graphopt("fed", "init", *cards, *arguments, "-o", invitation, "--yes")
    assert done.code == 0, done.err
    for member in others:
        done = member.graphopt("fed", "join", invitation, "--ledger", first.home.ledger, "--yes")
        assert done.code == 0, done.err
    return invitation
