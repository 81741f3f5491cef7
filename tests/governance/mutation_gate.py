"""The mutation gate: delete each `assert` of the contract in turn; some test must then fail.

    python -m tests.governance.mutation_gate          (needs vyper; a few minutes)

Prints one line for each assertion and exits with 1 when one could be deleted unnoticed.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .federation import OTHER_CODE

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "governance" / "contracts" / "Federation.vy"
ASSERTION = re.compile(r'^(\s*)assert .*, "(?P<reason>.*)"$')


def assertions(source: str) -> Iterator[tuple[int, str]]:
    """Line index and reason of each assertion; ValueError for one that stands on several lines or has no reason."""
    for index, line in enumerate(source.splitlines()):
        if line.strip().startswith("assert "):
            match = ASSERTION.match(line)
            if match is None:
                raise ValueError(f"line {index + 1}: an assertion stands on one line and has a reason")
            yield index, match["reason"]


def without_line(source: str, index: int) -> str:
    """The source with that line doing nothing."""
    lines = source.splitlines()
    lines[index] = re.sub(r"assert .*", "pass", lines[index])
    return "\n".join(lines) + "\n"


def init_code(source: str, vyper: str) -> str:
    """The init code of `source` in hexadecimal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Mutant.vy"
        path.write_text(source)
        done = subprocess.run([vyper, "-f", "bytecode", str(path)], capture_output=True, check=True, text=True)
    return done.stdout.strip().removeprefix("0x")


def tests_about(reason: str) -> list[str]:
    """The tests that expect `reason`, by their pytest ids."""
    found: list[str] = []
    for path in sorted(Path(__file__).parent.glob("test_contract_*.py")):
        source = path.read_text()
        for item in ast.parse(source).body:
            if isinstance(item, ast.FunctionDef) and item.name.startswith("test_"):
                first = min([item.lineno, *(decorator.lineno for decorator in item.decorator_list)])
                if reason in "\n".join(source.splitlines()[first - 1 : item.end_lineno]):
                    found.append(f"{path}::{item.name}")
    return found


def survives(code: str, reason: str) -> bool:
    """Whether all tests that expect `reason` pass on a contract with this code."""
    tests = tests_about(reason)
    if not tests:
        return True
    with tempfile.NamedTemporaryFile("w", suffix=".hex") as file:
        file.write(code)
        file.flush()
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        environment = os.environ | {OTHER_CODE: file.name}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode == 0


def main() -> int:
    """Run the gate."""
    vyper = shutil.which("vyper", path=str(Path(sys.executable).parent)) or shutil.which("vyper")
    if vyper is None:
        print("the mutation gate needs vyper: pip install vyper==0.4.3", file=sys.stderr)
        return 2
    source = SOURCE.read_text()
    if not survives(init_code(source, vyper), ""):
        print("the tests fail on the contract as it is", file=sys.stderr)
        return 2
    unnoticed = 0
    for index, reason in assertions(source):
        survived = survives(init_code(without_line(source, index), vyper), reason)
        unnoticed += survived
        print(f"{'UNNOTICED' if survived else 'noticed  '}  line {index + 1}: {reason}", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
