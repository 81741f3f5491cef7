"""Runs commands as a person does, and reads what they print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from graphopt.cli.main import app

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output, which must be one JSON value and nothing else."""
        return json.loads(self.out)


def graphopt(*arguments: object) -> Done:
    """Runs one command in this process; its exit code and what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def refused(*arguments: object) -> str:
    """The sentence of a command that must fail: exit code 2, one line on standard error, nothing on standard output."""
    done = graphopt(*arguments)
    assert done.code == 2, (done.code, done.out, done.err)
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert lines[0].startswith("graphopt: ")
    return lines[0].removeprefix("graphopt: ")
