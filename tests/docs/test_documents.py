"""The documents say what happens: every command and every program in them is run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_group

from graphopt.cli.main import COMMANDS, app
from graphopt_kernels.cache import cache_folder
from tests.docs.cli_reference import DOCUMENT
from tests.docs.session import ROOT, blocks, commands, commands_of_this_checkout, matches, run

DIGITS = ROOT / "examples" / "digits"
RUN = ("tutorial.md", "write-a-pass.md", "custom-operators.md", "governance.md", "performance.md", "federation.md")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The commands of this checkout on the path, and a home of their own."""
    here = commands_of_this_checkout(tmp_path / "bin", tmp_path / "home")
    return here | {"GRAPHOPT_CACHE": str(cache_folder())}


@pytest.mark.parametrize("name", RUN)
def test_a_document_does_what_it_says(name: str, tmp_path: Path, environment: dict[str, str]) -> None:
    document = ROOT / "docs" / name
    folder = tmp_path / "work"
    folder.mkdir()
    for file in ("digits.onnx", "test.npz"):
        shutil.copy(DIGITS / file, folder)
    run(document, folder, environment)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_of_commands_says_what_help_says(name: str) -> None:
    """In the same words; how the help is laid out is the library's business."""
    written = _words(DOCUMENT.read_text(encoding="utf-8"))
    *groups, last = name.split()
    group = get_group(app)
    for word in groups:
        inner = group.commands[word]
        assert isinstance(inner, TyperGroup)
        group = inner
    command = group.commands[last]
    hint = "run: python -m tests.docs.cli_reference"
    for paragraph in (command.help or "").replace("\b", "").split("\n\n"):
        assert _words(paragraph) in written, hint
    for parameter in command.params:
        assert all(f" {_words(option)} " in written for option in parameter.opts if option.startswith("-")), hint
        assert _words(getattr(parameter, "help", None) or "") in written, hint


def _words(text: str) -> str:
    return " ".join(re.findall(r"[\w-]+", text))


def test_a_document_that_lies_is_caught(tmp_path: Path, environment: dict[str, str]) -> None:
    lie = tmp_path / "lie.md"
    lie.write_text("```console\n$ echo one\ntwo\n```\n")
    with pytest.raises(AssertionError, match=r"lie\.md:2"):
        run(lie, tmp_path, environment)
    lie.write_text("```console\n$ false\n```\n")
    with pytest.raises(AssertionError, match="exit code 1"):
        run(lie, tmp_path, environment)


def test_commands_are_read_as_they_are_written(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    console = "```console\n$ a \\\n  b\nout\n# exit code 3\n```\n"
    document.write_text(console + "<!-- not run -->\n```python\nx\n```\n```sh\ny\n```\n")
    (block,) = blocks(document)
    (command,) = commands(block)
    assert (command.text, command.code, command.printed) == ("a \\\n  b", 3, ["out"])


def test_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert matches(["one … three", "…"], "one two three\nfour\nfive\n")
    assert not matches(["one", "three"], "one\ntwo\nthree")


def test_every_link_between_documents_leads_somewhere() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
