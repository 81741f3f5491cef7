"""Models that cannot be read, and places that cannot be written: one sentence, exit code 2, nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.cli.command import DIGITS, graphopt, refused


def model(*nodes: NodeProto, opset: int = 18, output: str = "y", domain: str | None = None) -> ModelProto:
    """A model from x to `output` with one weight, w."""
    ports = [helper.make_tensor_value_info(port, TensorProto.FLOAT, ["N", 4]) for port in ("x", output)]
    weight = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    graph = helper.make_graph(list(nodes), "g", ports[:1], ports[1:], [weight])
    imports = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    return helper.make_model(graph, opset_imports=imports, ir_version=9)


def node(op: str, inputs: str, outputs: str = "y", **more: object) -> NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), **more)  # pyright: ignore[reportArgumentType]


def external(location: str) -> ModelProto:
    made = model(node("Add", "x w"))
    weight = made.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    return made


BAD: dict[str, tuple[Callable[[], ModelProto | bytes], str]] = {
    "empty": (lambda: b"", "not an ONNX model"),
    "text": (lambda: b"import torch\n" * 50, "not an ONNX model"),
    "zeros": (lambda: bytes(5000), "not an ONNX model"),
    "an archive": (lambda: b"PK\x03\x04" + os.urandom(2000), "not an ONNX model"),
    "truncated": (lambda: DIGITS.read_bytes()[:-1000], "not an ONNX model, or a truncated one"),
    "truncated in the middle": (lambda: DIGITS.read_bytes()[:100_000], "not an ONNX model, or a truncated one"),
    "truncated at the start": (lambda: DIGITS.read_bytes()[:5], "not an ONNX model"),
    "external data missing": (lambda: external("weights.bin"), "weights.bin"),
    "external data above its folder": (lambda: external("../secret"), "outside"),
    "external data at a fixed place": (lambda: external("/etc/hostname"), "outside"),
    "a cycle": (lambda: model(node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b")), "cycle"),
    "a node that feeds itself": (lambda: model(node("Add", "x y")), "cycle"),
    "an unknown operator": (lambda: model(node("Conjure", "x")), "Conjure"),
    "a newer opset": (lambda: model(node("Relu", "x"), opset=999), "opset 999"),
    "a value that nobody defines": (lambda: model(node("Add", "x nowhere")), "nowhere"),
    "an output that nobody defines": (lambda: model(node("Relu", "x", "z")), "'y'"),
    "two definitions of one value": (lambda: model(node("Relu", "x"), node("Abs", "x")), "'y'"),
    "too many inputs": (lambda: model(node("Relu", "x w")), "Relu"),
    "a missing attribute": (lambda: model(node("Concat", "x x")), "Concat"),
}


@pytest.fixture(params=BAD, ids=lambda name: name.replace(" ", "-"))
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file that is no good model, and a word that the sentence about it must hold."""
    make, word = BAD[request.param]
    content = make()
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    path = folder / "bad.onnx"
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    return path, word


def test_a_bad_model_is_one_sentence_and_leaves_nothing(bad: tuple[Path, str], tmp_path: Path) -> None:
    path, word = bad
    out = tmp_path / "out"
    out.mkdir()
    for command in (["optimize", path, "-o", out / "o.onnx"], ["compile", path, "-o", out / "b"], ["inspect", path]):
        sentence = refused(*command)
        assert word in sentence
        assert "bad.onnx" in sentence
    assert list(out.iterdir()) == []
    assert [entry.name for entry in path.parent.iterdir()] == ["bad.onnx"]


def test_external_data_behind_a_link_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    (folder / "m.onnx").write_bytes(external("weights.bin").SerializeToString())
    assert "weights.bin" in refused("optimize", folder / "m.onnx", "-o", tmp_path / "o.onnx")


def test_external_data_that_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(15))
    (tmp_path / "m.onnx").write_bytes(external("weights.bin").SerializeToString())
    assert "weights.bin" in refused("optimize", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx")


@pytest.mark.parametrize("command", ["optimize", "compile"])
def test_a_place_without_a_folder_is_refused_before_work_begins(command: str, tmp_path: Path) -> None:
    assert "no" in refused(command, DIGITS, "-o", tmp_path / "missing" / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder in which even root can make nothing")
@pytest.mark.parametrize("command", ["optimize", "compile"])
def test_a_folder_that_cannot_be_written_is_refused(command: str) -> None:
    assert "/proc" in refused(command, DIGITS, "-o", "/proc/out")


def test_an_existing_model_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    target.write_bytes(b"old")
    assert "not an ONNX model" in refused("optimize", target, "-o", target)
    assert target.read_bytes() == b"old"


def test_a_command_line_that_is_wrong_ends_with_2() -> None:
    for line in (
        ["nonsense"],
        ["optimize"],
        ["optimize", DIGITS, "-o", "x", "--level", "fast"],
        ["run", "b", "--threads", 0],
    ):
        done = graphopt(*line)
        assert done.code == 2
        assert done.out == ""
        assert "Traceback" not in done.err


def test_an_operator_of_a_stranger_is_kept_by_optimize_and_named_by_compile(tmp_path: Path) -> None:
    strange = model(node("Relu", "x", "h"), node("Conjure", "h", domain="com.example"), domain="com.example")
    (tmp_path / "m.onnx").write_bytes(strange.SerializeToString())
    sentence = refused("compile", tmp_path / "m.onnx", "-o", tmp_path / "b")
    assert "com.example" in sentence
    assert "Conjure" in sentence
    assert not (tmp_path / "b").exists()


def test_a_pass_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path) -> None:
    for command in ("optimize", "compile"):
        sentence = refused(command, DIGITS, "-o", tmp_path / "o", "--skip", "fuse-everything")
        assert "'fuse-everything'" in sentence
        assert "fuse-conv-batchnorm" in sentence
    assert list(tmp_path.iterdir()) == []
