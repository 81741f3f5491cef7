"""Writes docs/cli.md from the commands' own help: `python -m tests.docs.cli_reference`."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from graphopt.cli.main import COMMANDS, GROUPS, app

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = """# Commands

What each command says of itself with `--help`; `python -m tests.docs.cli_reference` writes this page, and a test holds
it to the commands' own words. The [tutorial](tutorial.md) shows them at work.
"""


def reference() -> str:
    """The whole page."""
    parts = [HEAD, _section("graphopt", [])]
    for name in COMMANDS:
        # a group stands before the first command in it
        parts += [_section(f"graphopt {group}", group.split()) for group in GROUPS if _begins(group, name)]
        parts.append(_section(f"graphopt {name}", name.split()))
    return "\n".join(parts)


def _begins(group: str, name: str) -> bool:
    return next(other for other in COMMANDS if other.startswith(f"{group} ")) == name


def _section(title: str, arguments: list[str]) -> str:
    environment = {"COLUMNS": "100", "TERMINAL_WIDTH": "100", "NO_COLOR": "1"}
    result = CliRunner().invoke(app, [*arguments, "--help"], prog_name="graphopt", env=environment)
    assert result.exit_code == 0, result.output
    lines = "\n".join(line.rstrip() for line in result.stdout.rstrip().splitlines())
    return f"## {title}\n\n```text\n{lines}\n```\n"


if __name__ == "__main__":
    DOCUMENT.write_text(reference(), encoding="utf-8")
