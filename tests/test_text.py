"""Nothing that a stranger wrote steers a terminal: no command shows a name but as text."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graphopt.bundle import read_manifest
from graphopt.text import one_sentence, printable
from graphopt_governance import wording
from tests.cli.command import graphopt
from tests.governance.conftest import make_bundle

HOSTILE = {
    "escape": "\x1b[1A\x1b[2K\rgraphopt: approved",
    "line break": "a\ngraphopt: approved: anchored in block 2",
    "eight-bit escape": "a\x9b2Kb",
    "turned round": "a\u202egnp.exe",
    "isolated": "a\u2066b\u2069",
    "line separator": "a\u2028b",
    "bell": "a\x07b",
    "bytes": os.fsdecode(b"a\xff\x9bb"),
}


def steers(text: str) -> set[str]:
    """What a terminal would obey in it, line breaks between lines excepted."""
    return {c for c in text if not c.isprintable() and c != "\n"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRAPHOPT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("what", HOSTILE)
def test_a_name_is_shown_as_text_by_every_command(what: str, tmp_path: Path, home: Path) -> None:
    name = HOSTILE[what]
    bundle, other = make_bundle(tmp_path / "bundle"), tmp_path / "x"
    (bundle / name).write_bytes(b"")
    (tmp_path / name).write_bytes(b"no model")
    shutil.copytree(bundle, tmp_path / f"dir {name}")
    odd = tmp_path / name
    lines = 0
    for command in (
        ("verify", bundle),
        ("verify", tmp_path / f"dir {name}"),
        ("verify", tmp_path / "none" / name),
        ("verify", bundle, "--policy", odd),
        ("verify", bundle, "--signature", odd, "--public-key", odd),
        ("verify", bundle, "--proof", odd, "--checkpoint", "00" * 32),
        ("verify", bundle, "--max-age", name),
        ("inspect", bundle),
        ("inspect", odd),
        ("run", bundle, "--no-gate"),
        ("sign", bundle),
        ("anchor", bundle, "--yes"),
        ("compile", odd, "-o", other),
        ("compile", odd, "-o", other, "--skip", name),
        ("optimize", odd, "-o", other),
        ("diff", odd, odd),
        ("bench", odd),
        ("open", odd, "-o", other, "--no-gate"),
        ("seal", odd, "-o", other),
        ("approve", odd, "--yes"),
        ("revoke", name, "--yes"),
        ("report", bundle, tmp_path / "none" / name, "--yes"),
        ("audit", "replay", odd),
        ("fed", "join", odd, "--yes"),
        (name,),
        ("verify", bundle, name),
    ):
        done = graphopt(*command)
        assert done.code != 0, command
        assert done.code != 70, (command, done.err)
        assert not steers(done.out + done.err), command
        lines += done.err.count("\n")
        if "Usage" not in done.err and done.code < 10:
            said = [line for line in done.err.splitlines() if not line.startswith("graphopt: note: ")]
            assert len(said) == 1, (command, done.err)
            assert said[0].startswith("graphopt: ")
    assert lines


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_what_a_model_calls_itself_is_shown_as_text(flags: tuple[str, ...], tmp_path: Path) -> None:
    import json

    from onnx import TensorProto, helper

    every = "".join(HOSTILE[what] for what in HOSTILE if what != "bytes")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [every]) for name in ("x" + every, "y" + every)]
    node = helper.make_node("Neg", ["x" + every], ["y" + every], name=every)
    graph = helper.make_graph([node], every, infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], producer_name=every)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    for command in (("inspect", tmp_path / "m.onnx"), ("diff", tmp_path / "m.onnx", tmp_path / "m.onnx")):
        done = graphopt(*command, *flags)
        assert done.code == 0
        assert not steers(done.out + done.err)
        if flags:
            text = json.dumps(json.loads(done.out), ensure_ascii=False)
            assert command[0] != "inspect" or json.dumps(every, ensure_ascii=False)[1:-1] in text


@pytest.mark.parametrize("stream", ["out", "err"])
def test_an_altered_bundle_does_not_read_approved_on_a_terminal(stream: str, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    (bundle / HOSTILE["escape"]).write_bytes(b"")
    code = "from graphopt.cli.main import main; main()"
    read, write = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", code, "verify", str(bundle)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "GRAPHOPT_HOME": str(tmp_path), "NO_COLOR": "1"},
        stdout=write if stream == "out" else subprocess.DEVNULL,
        stderr=write if stream == "err" else subprocess.DEVNULL,
    )
    os.close(write)
    shown = b""
    try:
        while piece := os.read(read, 4096):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(read)
    assert process.wait() == 10
    # the spinner moves the cursor by sequences of its own; none of them is of the name
    assert b"\x1b[1A\x1b[2K\rgraphopt: approved" not in shown
    assert b"\\x1b[1A\\x1b[2K" in shown


@pytest.mark.parametrize("what", HOSTILE)
def test_a_verdict_is_shown_as_text_whatever_it_says(
    what: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphopt_governance import actions
    from graphopt_governance.verdict.verify import Code, Reason, Verdict

    verdict = Verdict((Reason(Code.ALTERED, f"{HOSTILE[what]} was altered"),), "00" * 32, {"basis": HOSTILE[what]})
    monkeypatch.setattr(actions, "verify", lambda *_, **__: verdict)  # pyright: ignore[reportUnknownLambdaType]
    for flags in ((), ("--json",)):
        done = graphopt("verify", make_bundle(tmp_path / f"b{len(flags)}"), *flags)
        assert done.code == 10
        assert not steers(done.out + done.err)
        assert done.err.count("\n") == 1
        assert done.err.startswith("graphopt: refused: ")


def test_there_is_one_way_to_write_what_is_not_shown() -> None:
    assert wording.printable is printable
    assert printable("naïve 模型 a b") == "naïve 模型 a b"
    assert printable("a\x1b\u202e\x9b\n") == r"a\x1b\u202e\x9b\n"
    assert one_sentence(ValueError("a\n  b\x1b")) == r"a b\x1b"
    assert one_sentence(ValueError()) == "ValueError"


def test_a_name_in_a_set_of_files_is_spelt_out(tmp_path: Path) -> None:
    from graphopt.bundle import AlteredError, check_files

    bundle = make_bundle(tmp_path / "bundle")
    manifest = read_manifest(bundle)
    (bundle / "a\x1b").write_bytes(b"")
    with pytest.raises(AlteredError, match=r"^a\\x1b is in the bundle but not in its manifest$"):
        check_files(bundle, manifest)
