"""The mutation gate: make one mistake at a time in the contract; some test must then fail.

    python -m tests.governance.mutation_gate          (needs vyper; on anvil, where it is, some fifteen minutes)
    python -m tests.governance.mutation_gate assert   (only the mutants with this in their description)

Every assertion and every other statement is left out in turn; comparisons, operators, numbers, rights, statuses and
kinds are exchanged, and the fields of events.  Prints one line a mutant, and exits with 1 when one was not noticed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from .federation import OTHER_CODE
from .mutants import mutants

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "governance" / "contracts" / "Federation.vy"
TESTS = ("records", "members", "signatures", "batches", "interface", "attacks", "events", "model")

HARMLESS = {
    "256 → 257: for _: uint256 in range(256):": "a number has 256 bits, so the loop ends before",
    "0 → 1: if at & 1 == 1 or at == 0:": "a position of 0 is the last only of a tree of one, which has no steps",
}
"""Mutants that no test can notice, because they do the same: description, and why."""


def compiled(source: str) -> str | None:
    """The init code of `source` in hexadecimal; None when it does not compile."""
    import vyper
    from vyper.exceptions import VyperException

    compile_code: Any = vyper.compile_code
    try:
        return compile_code(source, output_formats=["bytecode"])["bytecode"].removeprefix("0x")
    except VyperException:
        return None


def survives(code: str) -> bool:
    """Whether all tests of the contract pass on a contract with this code; the model is asked last."""
    anvil = os.environ.get("ANVIL") or shutil.which("anvil")
    files = [str(path) for name in TESTS if (path := Path(__file__).parent / f"test_contract_{name}.py").exists()]
    with tempfile.NamedTemporaryFile("w", suffix=".hex") as file:
        file.write(code)
        file.flush()
        # forked, so that what takes seconds to import is imported once
        child = os.fork()
        if child == 0:
            os.environ[OTHER_CODE] = file.name
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            chosen = ["-m", "anvil" if anvil else "not anvil"]
            os._exit(int(pytest.main(["-q", "-x", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *chosen, *files])))
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def main(about: str) -> int:
    """Run the gate."""
    if find_spec("vyper") is None:
        print("the mutation gate needs vyper: pip install vyper==0.4.3", file=sys.stderr)
        return 2
    source = SOURCE.read_text()
    code = compiled(source)
    if code is None or not survives(code):
        print("the tests fail on the contract as it is", file=sys.stderr)
        return 2
    counts = {"noticed": 0, "harmless": 0, "not compiled": 0, "UNNOTICED": 0}
    for mutant in mutants(source):
        if about not in mutant.change:
            continue
        mutated = compiled(mutant.source)
        if mutated is None:
            verdict = "not compiled"
        elif mutated == code or mutant.change in HARMLESS:
            verdict = "harmless"
        else:
            verdict = "UNNOTICED" if survives(mutated) else "noticed"
        counts[verdict] += 1
        print(f"{verdict:12}  line {mutant.line}: {mutant.change}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts["UNNOTICED"] else 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
