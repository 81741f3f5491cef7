"""Rebuilding a bundle from its source: the same comes out and is said to be the same; whatever differs is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphopt.compiler
from graphopt.bundle import FileRecord, Manifest, read_manifest
from graphopt.bundle.statement import new_manifest
from graphopt.compiler.compile_model import source_digest
from graphopt.compiler.rebuild_model import RebuildDiffersError, RebuildError, rebuild
from graphopt.errors import GraphoptError, ModelError

TARGETS = ("x86-64-v3",)


def write_model(folder: Path, scale: float = 1.0) -> Path:
    """A perceptron whose weights lie in a file beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = numpy_helper.from_array(scale * np.arange(256, dtype=np.float32).reshape(16, 16) / 256, "w")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 16]) for name in ("x", "y")]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save_model(model, folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    return folder / "m.onnx"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def manifest(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    bundle = tmp_path_factory.mktemp("bundles") / "m.bundle"
    graphopt.compiler.compile(source, targets=TARGETS).save(bundle)
    return read_manifest(bundle)


def changed(manifest: Manifest, **record: Any) -> Manifest:
    """A manifest that says something else; nothing in it tells that it lies."""
    return new_manifest(manifest.files, {**manifest.predicate, **record})


def difference(manifest: Manifest, source: Path) -> RebuildDiffersError:
    with pytest.raises(RebuildDiffersError) as caught:
        rebuild(manifest, source)
    return caught.value


def test_the_same_source_comes_to_the_same_digest(manifest: Manifest, source: Path):
    phases: list[str] = []
    rebuilt = rebuild(manifest, source, progress=phases.append)
    assert rebuilt.digest == manifest.digest.hex()
    assert rebuilt.own["checked"] is True
    assert rebuilt.recorded == manifest.predicate["evidence"]
    assert phases[-1] == "comparing with the manifest"


def test_another_model_is_told_before_anything_is_compiled(manifest: Manifest, tmp_path: Path):
    other = write_model(tmp_path / "other", scale=2.0)
    with other.open("ab") as file:
        file.write(b"\x08\x0a")
    phases: list[str] = []
    with pytest.raises(RebuildDiffersError, match=r"source\..*not the model it was made from"):
        rebuild(manifest, other, progress=phases.append)
    assert phases == []


def test_the_source_covers_the_weights_beside_the_model(manifest: Manifest, source: Path, tmp_path: Path):
    copy = Path(shutil.copytree(source.parent, tmp_path / "copy"))
    weights = bytearray((copy / "m.data").read_bytes())
    weights[5] ^= 1
    (copy / "m.data").write_bytes(weights)
    assert difference(manifest, copy / "m.onnx").where == "source.external[0].sha256"


def test_other_tools_are_named_before_anything_is_compiled(manifest: Manifest, source: Path):
    tools: Mapping[str, str] = manifest.predicate["tools"]
    lie = changed(manifest, tools={**tools, "numba": "0.0.1"})
    assert str(difference(lie, source)) == (
        f"the rebuild differs: tools.numba: 0.0.1 recorded, {tools['numba']} here;"
        " rebuild with the recorded versions installed"
    )


def test_one_byte_of_native_code_is_found(manifest: Manifest, source: Path):
    def altered(record: FileRecord) -> FileRecord:
        return replace(record, sha256="ab" * 32) if record.name.startswith("native/") else record

    lie = new_manifest([altered(record) for record in manifest.files], manifest.predicate)
    error = difference(lie, source)
    assert error.where == "native/x86-64-v3/kernels.so"
    assert "linker" in str(error)


@pytest.mark.parametrize(("name", "there"), [("weights", True), ("zeros", False)])
def test_the_first_file_that_differs_is_named(manifest: Manifest, source: Path, name: str, *, there: bool):
    files = [record for record in manifest.files if record.name != name]
    if not there:
        files.append(FileRecord(name, "00" * 32, 0))
    error = difference(new_manifest(files, manifest.predicate), source)
    assert error.where == name
    assert ("comes out here and is not on record" in str(error)) == there


def test_a_record_that_lies_about_the_work_is_found(manifest: Manifest, source: Path):
    counts = manifest.predicate["program"]["x86-64-v3"]
    lie = changed(manifest, program={"x86-64-v3": {**counts, "native": counts["native"] + 1}})
    error = difference(lie, source)
    assert error.where == "program.x86-64-v3.native"
    lie = changed(manifest, more="true")
    assert difference(lie, source).where == "more"
    lie = changed(manifest, rewrites=[{"name": "fold-constants", "count": 1}])
    assert difference(lie, source).where == "rewrites[0]"


def test_other_options_than_were_used_come_to_other_files(manifest: Manifest, source: Path):
    lie = changed(manifest, targets=["x86-64-v3", "x86-64-v4"])
    assert difference(lie, source).where.startswith("native/x86-64-v4/")


def test_evidence_of_another_machine_is_shown_and_not_compared(manifest: Manifest, source: Path):
    elsewhere = {**manifest.predicate["evidence"], "worst_difference": "2.5e-07"}
    there = changed(manifest, evidence=elsewhere)
    rebuilt = rebuild(there, source)
    assert rebuilt.digest == there.digest.hex() != manifest.digest.hex()
    assert rebuilt.recorded["worst_difference"] == "2.5e-07"
    assert rebuilt.own["worst_difference"] == manifest.predicate["evidence"]["worst_difference"]


@pytest.mark.parametrize(
    "lie",
    [
        {"worst_difference": 1e300},
        {"worst_difference": "NaN"},
        {"worst_difference": "inf"},
        {"worst_difference": "-1.0"},
        {"worst_difference": " 0.0"},
        {"worst_difference": None},
        {"seeds": []},
        {"seeds": [7, 8]},
        {"sizes": {"N": 99}},
        {"checked": False},
        {"reason": "rebuilt here, the same in every file"},
    ],
)
def test_evidence_that_no_check_writes_is_found(manifest: Manifest, source: Path, lie: dict[str, Any]):
    there = changed(manifest, evidence={**manifest.predicate["evidence"], **lie})
    assert difference(there, source).where.startswith("evidence.")


def test_what_was_not_checked_there_is_checked_here(source: Path, tmp_path: Path):
    graphopt.compiler.compile(source, targets=TARGETS, check=False).save(tmp_path / "m.bundle")
    manifest = read_manifest(tmp_path / "m.bundle")
    rebuilt = rebuild(manifest, source)
    assert (rebuilt.recorded["checked"], rebuilt.own["checked"]) == (False, True)


@pytest.mark.parametrize(
    "record",
    [
        {"options": {}},
        {"options": {"level": "exact", "skip": "", "check": True}},
        {"options": {"level": "exact", "skip": [], "check": 1}},
        {"targets": "x86-64-v3"},
        {"tools": None},
        {"evidence": []},
        {"evidence": {"checked": True}},
    ],
)
def test_a_record_of_another_form_is_one_sentence(manifest: Manifest, source: Path, record: dict[str, Any]):
    with pytest.raises(RebuildError):
        rebuild(changed(manifest, **record), source)


def test_a_level_or_target_that_nobody_knows_is_one_sentence(manifest: Manifest, source: Path):
    options = {**manifest.predicate["options"], "level": "anything"}
    for lie in (changed(manifest, options=options), changed(manifest, targets=["z80"]), changed(manifest, targets=[])):
        with pytest.raises(GraphoptError):
            rebuild(lie, source)


def test_a_source_without_its_weights_is_one_sentence(manifest: Manifest, source: Path, tmp_path: Path):
    shutil.copy(source, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"m\.data"):
        rebuild(manifest, tmp_path / "m.onnx")


def test_a_source_is_named_by_what_the_model_calls_its_files(source: Path):
    digest = source_digest(source)
    assert [entry["name"] for entry in digest["external"]] == ["m.data"]
    inline = onnx.load(source)
    assert source_digest(inline).keys() == {"sha256"}


def test_the_door_to_rebuilding_is_the_function_whoever_came_first():
    # a submodule of the same name would take the function's place as soon as it is imported
    script = "import graphopt.compiler.rebuild_model; from graphopt.compiler import rebuild; assert callable(rebuild)"
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": ":".join(sys.path)})
