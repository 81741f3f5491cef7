"""Runs a document: its console blocks in a shell, its Python blocks in one interpreter, in order, in one folder.

In a ```console block a line that starts with `$ ` is a command, continued while it ends with a backslash; the lines
up to the next command are what it prints, where `…` stands for anything.  A command must exit with 0, or with N where
the line after it is `# exit code N`.  A ```python block is run as it stands; a ```console or ```python block after
the line <!-- not run --> is not.  A block after the line <!-- file: NAME --> is written to that file.  Other blocks are
not touched.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN = "<!-- not run -->"
ANYTHING = "…"


@dataclass
class Command:
    line: int
    text: str
    code: int = 0
    printed: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    lines: tuple[str, ...]


def blocks(document: Path) -> Iterator[Block]:
    """The blocks of a document that are to be run."""
    language: str | None = None
    previous = ""
    start, lines = 0, list[str]()
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), 1):
        if language is None and line.startswith("```"):
            language, start, lines = line[3:].strip(), number, []
            if previous == NOT_RUN:
                language = "not run"
            if named := re.fullmatch(r"<!-- file: (\S+) -->", previous):
                language = f"file {named[1]}"
        elif language is not None and line == "```":
            if language in {"console", "python"} or language.startswith("file "):
                yield Block(start, language, tuple(lines))
            language = None
        elif language is not None:
            lines.append(line)
        if line.strip():
            previous = line
    assert language is None, f"{document}: the block of line {start} does not end"


def commands(block: Block) -> list[Command]:
    """The commands of a console block, each with what it prints."""
    found: list[Command] = []
    goes_on = False
    for number, line in enumerate(block.lines, block.line + 1):
        if goes_on:
            found[-1].text += "\n" + line
            goes_on = line.endswith("\\")
        elif line.startswith("$ "):
            found.append(Command(number, line[2:]))
            goes_on = line.endswith("\\")
        elif match := re.fullmatch(r"# exit code (\d+)", line):
            found[-1].code = int(match[1])
        else:
            found[-1].printed.append(line)
    return found


def matches(expected: list[str], printed: str) -> bool:
    """Whether what was printed is what the document shows; blank lines and the widths of columns do not count."""
    pattern, got = _lines(expected), _lines(printed.splitlines())
    return re.fullmatch(".*".join(map(re.escape, pattern.split(ANYTHING))), got, re.DOTALL) is not None


def _lines(lines: list[str]) -> str:
    return "\n".join(" ".join(line.split()) for line in lines if line.strip())


def commands_of_this_checkout(folder: Path, home: Path) -> dict[str, str]:
    """An environment in which `graphopt` and `python` are this checkout's, by two programs written to `folder`."""
    folder.mkdir()
    for name, call in (("graphopt", "-c 'from graphopt.cli.main import main; main()'"), ("python", "")):
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {call} "$@"\n')
        (folder / name).chmod(stat.S_IRWXU)
    return os.environ | {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in (".", "kernels", "governance")),
        "GRAPHOPT_HOME": str(home),
    }


def run(
    document: Path,
    folder: Path,
    environment: dict[str, str],
    tell: Callable[[str], object] = lambda text: None,
) -> None:
    """Runs the document's blocks in `folder`; AssertionError names the first line that is not as it says.

    `tell` hears each command as it begins, and what it printed when it is done.
    """
    namespace: dict[str, object] = {"__name__": "__main__"}
    before = Path.cwd()
    os.chdir(folder)
    try:
        for block in blocks(document):
            where = f"{document.name}:{block.line}"
            if block.language.startswith("file "):
                target = folder / block.language.removeprefix("file ")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text("\n".join(block.lines) + "\n", encoding="utf-8")
                continue
            if block.language == "python":
                exec(compile("\n".join(block.lines), where, "exec"), namespace)
                continue
            for command in commands(block):
                tell(f"$ {command.text}")
                tell(_run(command, f"{document.name}:{command.line}", environment))
    finally:
        os.chdir(before)


def _run(command: Command, where: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-c", command.text],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # in the order in which a person sees it
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    printed = done.stdout
    assert done.returncode == command.code, f"{where}: {command.text}: exit code {done.returncode}: {printed}"
    if command.printed:
        assert matches(command.printed, printed), f"{where}: {command.text} printed\n{printed}"
    return printed
