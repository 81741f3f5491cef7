"""A model is read once: what is on record is what was compiled, whatever is put in its place meanwhile."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphopt.bundle import Manifest, read_manifest
from graphopt.compiler import rebuild
from graphopt.compiler.compile_model import compile_model
from graphopt.compiler.rebuild_model import RebuildDiffersError
from graphopt.errors import ModelError
from graphopt.frontend import Source, external, read_onnx
from tests.cli.command import graphopt
from tests.compiler.test_rebuild import write_model

TARGETS = ("x86-64-v3",)


def small(path: Path, factor: float) -> Path:
    """A model of one operator; no kernel has to be made for it but the usual ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    weights = numpy_helper.from_array(np.full(4, factor, np.float32), "w")
    graph = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "g", infos[:1], infos[1:], [weights])
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), path)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def renamed(good: Path, evil: Path) -> None:
    shutil.copy(evil, good.with_suffix(".new"))
    good.with_suffix(".new").replace(good)


def overwritten(good: Path, evil: Path) -> None:
    good.write_bytes(evil.read_bytes())


SWAPS: list[Callable[[Path, Path], None]] = [renamed, overwritten]


@pytest.mark.parametrize("swap", SWAPS)
@pytest.mark.parametrize("phase", ["read", "optimize", "lower", "kernels"])
def test_a_model_that_is_swapped_while_it_is_compiled_is_recorded_as_what_it_was(
    swap: Callable[[Path, Path], None], phase: str, tmp_path: Path
) -> None:
    good, evil = small(tmp_path / "good.onnx", 2), small(tmp_path / "evil.onnx", 666)
    digest = sha256(good)

    def progress(begun: str) -> None:
        if begun == phase:
            swap(good, evil)

    compiled = compile_model(good, targets=TARGETS, check=False, progress=progress)
    compiled.save(tmp_path / "bundle")
    recorded = read_manifest(tmp_path / "bundle").predicate["source"]["sha256"]
    (result,) = compiled({"x": np.ones(4, np.float32)}).values()
    # before it was read, it is another model, and recorded as such
    assert (recorded, result[0]) == ((sha256(evil), 666) if phase == "read" else (digest, 2))


@pytest.mark.parametrize("swap", SWAPS)
def test_what_is_hashed_is_what_was_read(
    swap: Callable[[Path, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model and external data change right after the graph was read, before anything else is done."""
    good, evil = write_model(tmp_path / "good"), write_model(tmp_path / "evil", scale=9.0)
    with evil.open("ab") as file:
        file.write(b"\x08\x0a")
    digests = sha256(good), sha256(good.parent / "m.data")

    def read(source: Any) -> Any:
        graph = read_onnx(source)
        swap(good, evil)
        swap(good.parent / "m.data", evil.parent / "m.data")
        return graph

    monkeypatch.setattr("graphopt.compiler.compile_model.read_onnx", read)
    compiled = compile_model(good, targets=TARGETS, check=False)
    assert sha256(good) != digests[0]
    compiled.save(tmp_path / "bundle")
    source = read_manifest(tmp_path / "bundle").predicate["source"]
    assert (source["sha256"], source["external"][0]["sha256"]) == digests
    (result,) = compiled({"x": np.ones((1, 16), np.float32)}).values()
    np.testing.assert_allclose(result[0], np.arange(256).reshape(16, 16).sum(0) / 256, rtol=1e-5)


@pytest.mark.parametrize("swap", SWAPS)
def test_external_data_that_is_swapped_is_recorded_as_what_it_was(
    swap: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    good, evil = write_model(tmp_path / "good"), write_model(tmp_path / "evil", scale=9.0)
    digest = sha256(good.parent / "m.data")

    def progress(begun: str) -> None:
        if begun == "optimize":
            swap(good.parent / "m.data", evil.parent / "m.data")

    compiled = compile_model(good, targets=TARGETS, check=False, progress=progress)
    compiled.save(tmp_path / "bundle")
    assert read_manifest(tmp_path / "bundle").predicate["source"]["external"] == [{"name": "m.data", "sha256": digest}]
    (result,) = compiled({"x": np.ones((1, 16), np.float32)}).values()
    np.testing.assert_allclose(result[0], np.arange(256).reshape(16, 16).sum(0) / 256, rtol=1e-5)


def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    monkeypatch.setattr(external, "_LARGE", 1)
    source = Source.read(write_model(tmp_path / "large"), hashed=False)
    source.folder.left = 0
    return source


def test_a_large_file_is_mapped_and_one_that_is_renamed_over_it_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = large(tmp_path, monkeypatch)
    before = sha256(source.path.parent / "m.data")
    graph = read_onnx(source)
    (file,) = source.folder.opened.values()
    assert file.handle is not None
    source.check_unchanged()
    renamed(source.path.parent / "m.data", write_model(tmp_path / "evil", scale=9.0).parent / "m.data")
    assert file.sha256() == before
    (weights,) = [value.constant for value in graph.values() if value.constant is not None]
    np.testing.assert_array_equal(weights.array().ravel(), np.arange(256, dtype=np.float32) / 256)


def test_a_large_file_that_is_written_to_in_place_ends_the_compilation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = large(tmp_path, monkeypatch)
    data = source.path.parent / "m.data"
    os.utime(data, ns=(1, 1))

    def progress(begun: str) -> None:
        if begun == "lower":
            with data.open("r+b") as file:
                file.write(b"\1\2\3\4")
            os.utime(data, ns=(1, 1))  # the time of the last change but one cannot be set back

    compiled = compile_model(source, targets=TARGETS, check=False, progress=progress)
    with pytest.raises(ModelError, match=r"m\.data was changed while the model was read from it"):
        compiled.save(tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_large_file_that_others_can_write_to_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = large(tmp_path, monkeypatch)
    (source.path.parent / "m.data").chmod(0o666)
    read_onnx(source)
    (file,) = source.folder.opened.values()
    assert file.handle is None
    before = file.sha256()
    (source.path.parent / "m.data").write_bytes(bytes(1024))
    assert file.sha256() == before


def test_a_source_is_used_up(tmp_path: Path) -> None:
    source = Source.read(small(tmp_path / "m.onnx", 2))
    read_onnx(source)
    with pytest.raises(ValueError, match="read from before"):
        read_onnx(source)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("rebuilt")
    source = small(folder / "m.onnx", 2)
    compile_model(source, targets=TARGETS).save(folder / "bundle")
    return source, read_manifest(folder / "bundle")


def test_a_rebuild_compiles_what_it_compared(manifest: tuple[Path, Manifest], tmp_path: Path) -> None:
    """The evil bundle's record names the good model; whoever rebuilds has the good one, until it was looked at."""
    good, evil = small(tmp_path / "good.onnx", 2), small(tmp_path / "evil.onnx", 666)

    def progress(begun: str) -> None:
        if begun == "read":
            renamed(good, evil)

    assert rebuild(manifest[1], good, progress=progress).digest == manifest[1].digest.hex()


def test_a_rebuild_takes_nothing_from_a_cache(
    manifest: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphopt.compiler import native
    from graphopt_kernels import emit

    source = manifest[0]
    monkeypatch.setenv("GRAPHOPT_CACHE", str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        # the poison: code that nobody optimised, of the same name
        patch.setattr(emit._Machine, "optimise", lambda self, module: None)  # pyright: ignore
        poisoned = compile_model(source, targets=TARGETS, check=False)
    poisoned.save(tmp_path / "poisoned")
    again = compile_model(source, targets=TARGETS, check=False)
    again.save(tmp_path / "again")
    of_cache = read_manifest(tmp_path / "again")
    assert of_cache.files == read_manifest(tmp_path / "poisoned").files != manifest[1].files
    native._emitted.cache_clear()  # pyright: ignore[reportPrivateUsage]
    assert rebuild(manifest[1], source).digest == manifest[1].digest.hex()
    with pytest.raises(RebuildDiffersError, match=r"native/x86-64-v3/kernels\.(so|a)"):
        rebuild(of_cache, source)


def test_a_cache_that_others_can_write_to_is_left_alone_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHOPT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRAPHOPT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    model = small(tmp_path / "m.onnx", 2)
    done = graphopt("compile", model, "-o", tmp_path / "b", "--target", TARGETS[0], "--no-check")
    assert done.code == 0
    assert done.err == (
        f"graphopt: note: the cache of kernels in {tmp_path}/cache is not used, because others can write to"
        f" {tmp_path}/cache (mode 777); compiling takes longer\n"
    )
    assert not any(path.is_file() for path in (tmp_path / "cache").rglob("*"))
