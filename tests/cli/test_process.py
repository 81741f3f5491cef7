"""The program as a process: signals, pipes, and what it says when it is itself wrong."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from graphopt.cli.failure import BUG, sentences_for_errors
from tests.cli.command import DIGITS, graphopt

ROOT = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-c", "from graphopt.cli.main import main; main()")
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / name) for name in (".", "kernels", "governance"))}


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [*PROGRAM, *map(str, arguments)]
    # a shell that runs the tests in the background has them ignore SIGINT, and children inherit that
    heed: Callable[[], object] = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": ENVIRONMENT, "preexec_fn": heed}
    pipes |= options
    return subprocess.Popen(command, **pipes)  # pyright: ignore[reportCallIssue, reportArgumentType, reportUnknownVariableType]


def wait_until_loaded(process: subprocess.Popen[str], library: str) -> None:
    """Returns when the process has mapped a library: it is at work then, and no longer starting."""
    maps = Path(f"/proc/{process.pid}/maps")
    for _ in range(600):
        if library in maps.read_text():
            return
        time.sleep(0.1)
    process.kill()
    pytest.fail(f"{library} was not loaded within a minute")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see when the work begins")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_measurement_ends_quietly(number: signal.Signals, code: int, tmp_path: Path) -> None:
    process = start("bench", DIGITS, "--against", "", "--seconds", 600, cwd=tmp_path)
    wait_until_loaded(process, "kernels.so")
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == ""
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_leaves_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = start("inspect", DIGITS, "--json", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (1, 141)
    assert err == ""


def test_a_full_disk_is_one_sentence() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with Path("/dev/full").open("w") as full:
        process = start("inspect", DIGITS, "--json", stdout=full)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err.strip() == "graphopt: No space left on device"


def test_what_is_our_mistake_is_told_apart_and_asks_for_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    @sentences_for_errors()
    def broken() -> None:
        raise KeyError("x")

    with pytest.raises(Exception) as caught:  # noqa: PT011  typer's own exit
        broken()
    assert getattr(caught.value, "exit_code", None) == BUG
    assert "internal error, please report it: KeyError: 'x'" in capsys.readouterr().err


def test_the_version_is_that_of_the_package() -> None:
    import importlib.metadata

    printed = graphopt("--version").out.split()
    assert printed[0] == "graphopt"
    try:
        assert printed[1] == importlib.metadata.version("graphopt")
    except importlib.metadata.PackageNotFoundError:
        assert printed[1][0].isdigit()
