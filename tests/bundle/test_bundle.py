"""A compiled model survives the disk, is the same bytes each time, and appears complete or not at all."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import graphopt.compiler
from graphopt.bundle.manifest import AlteredError, read_manifest
from graphopt.bundle.statement import Manifest
from graphopt.errors import BundleError, CompileError, GraphoptError
from graphopt.runtime import Compiled

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


@pytest.fixture(scope="module")
def digits() -> Compiled:
    return graphopt.compiler.compile(DIGITS)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_loaded_bundle_gives_the_same_bits(digits: Compiled, tmp_path: Path):
    digits.save(tmp_path / "bundle")
    loaded = graphopt.compiler.load(tmp_path / "bundle")
    images = np.random.default_rng(0).random((5, 1, 8, 8), "float32")
    np.testing.assert_array_equal(digits({"image": images})["logits"], loaded({"image": images})["logits"])
    assert loaded.inputs == digits.inputs
    loaded.save(tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "bundle")


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_another_process_with_another_hash_seed_makes_the_same_bytes(digits: Compiled, tmp_path: Path, hash_seed: str):
    digits.save(tmp_path / "here")
    script = f"import graphopt; graphopt.compile({str(DIGITS)!r}).save({str(tmp_path / 'there')!r})"
    env = {**os.environ, "PYTHONPATH": ":".join(p for p in sys.path if p), "PYTHONHASHSEED": hash_seed}
    subprocess.run([sys.executable, "-c", script], check=True, env=env)
    assert files(tmp_path / "there") == files(tmp_path / "here")


def test_the_manifest_says_how_it_was_made_and_nothing_of_where(digits: Compiled, tmp_path: Path):
    digits.save(tmp_path / "bundle")
    build = read_manifest(tmp_path / "bundle").predicate
    assert build["options"] == {"level": "reassociate", "skip": [], "check": True}
    assert build["targets"] == ["x86-64-v3", "x86-64-v4"]
    assert build["tools"]["graphopt"] == graphopt.__version__
    assert len(build["source"]["sha256"]) == 64
    assert build["evidence"]["checked"] is True
    assert str(tmp_path) not in str(build)


class UnapprovedError(GraphoptError):
    """What this gate says."""


@dataclass
class OnlyThis:
    """A gate that knows one bundle: an altered manifest has another digest."""

    digest: bytes

    def admit(self, manifest: Manifest) -> None:
        if manifest.digest != self.digest:
            raise UnapprovedError(f"not approved: {manifest.digest.hex()}")


def test_a_flipped_bit_in_any_file_is_refused(digits: Compiled, tmp_path: Path):
    digits.save(tmp_path / "bundle")
    gate = OnlyThis(read_manifest(tmp_path / "bundle").digest)
    for name, content in files(tmp_path / "bundle").items():
        path = tmp_path / "bundle" / name
        for position in (0, len(content) // 2, len(content) - 1):
            altered = bytearray(content)
            altered[position] ^= 1
            path.write_bytes(altered)
            with pytest.raises((BundleError, UnapprovedError)):
                graphopt.compiler.load(tmp_path / "bundle", gate=gate)
        path.write_bytes(content)
    graphopt.compiler.load(tmp_path / "bundle", gate=gate)


def test_a_missing_file_is_refused(digits: Compiled, tmp_path: Path):
    digits.save(tmp_path / "bundle")
    (tmp_path / "bundle" / "weights").unlink()
    with pytest.raises(AlteredError, match="weights is missing"):
        graphopt.compiler.load(tmp_path / "bundle")


def test_saving_replaces_a_bundle_and_nothing_else(digits: Compiled, tmp_path: Path):
    digits.save(tmp_path / "bundle")
    digits.save(tmp_path / "bundle")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    with pytest.raises(BundleError, match="is no bundle"):
        digits.save(tmp_path / "mine")
    with pytest.raises(BundleError, match="no folder"):
        digits.save(tmp_path / "nowhere" / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "mine"]


def test_a_failed_save_leaves_nothing_behind(digits: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graphopt.bundle.artifact.write_manifest", full)
    with pytest.raises(OSError, match="No space"):
        digits.save(tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_target_is_named():
    with pytest.raises(CompileError, match="no target 'z80'"):
        graphopt.compiler.compile(DIGITS, targets=["z80"])
