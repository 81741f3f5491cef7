"""A manifest says exactly what a bundle is: written the same each time, read strictly, and held against every byte."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphopt.bundle import (
    AlteredError,
    Signature,
    check_files,
    open_verified,
    read_manifest,
    save_manifest,
    write_manifest,
)
from graphopt.errors import BundleError

FILES = {
    "model.onnx": b"\x08\x0a" + bytes(range(64)),
    "program": b'{"steps":[]}',
    "weights": bytes(200),
    "native/x86-64-v3/kernels.so": b"\x7fELF" + b"\x01" * 60,
}
BUILD = {"source": {"sha256": "ab" * 32}, "worst_error": 1.5e-7, "targets": ["x86-64-v3"], "checked": True}


def make_bundle(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    write_manifest(folder, BUILD)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


def test_the_manifest_is_an_in_toto_statement_in_a_sigstore_bundle(bundle: Path):
    document = json.loads((bundle / "manifest.json").read_bytes())
    assert document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    envelope = document["dsseEnvelope"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert envelope["signatures"] == []
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    resources = statement["predicate"]["resources"]
    assert {item["name"]: item["digest"] for item in resources} == {
        name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()
    }
    assert statement["predicate"]["build"] == BUILD


def test_the_digest_is_that_of_the_pre_authentication_encoding_and_outlives_signing(bundle: Path):
    manifest = read_manifest(bundle)
    text = b"DSSEv1 28 application/vnd.in-toto+json %d " % len(manifest.payload) + manifest.payload
    assert manifest.digest == hashlib.sha256(text).digest()
    save_manifest(bundle, manifest.signed(Signature(b"\x30\x44", "cd" * 32)))
    signed = read_manifest(bundle)
    assert signed.signature == Signature(b"\x30\x44", "cd" * 32)
    assert signed.digest == manifest.digest


def test_two_processes_with_two_hash_seeds_write_the_same_bytes(bundle: Path, tmp_path: Path):
    script = (
        "import sys, json; from graphopt.bundle import write_manifest; "
        "write_manifest(sys.argv[1], {name: set(name).__len__() for name in {'alpha', 'beta', 'gamma', 'delta'}})"
    )
    written: set[bytes] = set()
    for seed in ("1", "2"):
        copy = tmp_path / f"copy{seed}"
        shutil.copytree(bundle, copy)
        subprocess.run([sys.executable, "-c", script, str(copy)], env=os.environ | {"PYTHONHASHSEED": seed}, check=True)
        written.add((copy / "manifest.json").read_bytes())
    assert len(written) == 1


def test_a_whole_bundle_is_accepted_and_its_private_copy_is_equal_and_goes_away(bundle: Path):
    check_files(bundle, read_manifest(bundle))
    with open_verified(bundle) as verified:
        assert verified.folder.stat().st_mode & 0o777 == 0o700
        assert {name: (verified.folder / name).read_bytes() for name in FILES} == FILES
        check_files(verified.folder, verified.manifest)
    assert not verified.folder.exists()


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_flipped_bit_in_any_file_is_refused_by_name(bundle: Path, name: str):
    manifest = read_manifest(bundle)
    data = bytearray((bundle / name).read_bytes())
    for position in (0, len(data) // 2, len(data) - 1):
        data[position] ^= 0x10
        (bundle / name).write_bytes(data)
        for check in (lambda: check_files(bundle, manifest), lambda: open_verified(bundle)):
            with pytest.raises(AlteredError, match="was altered") as caught:
                check()
            assert caught.value.file == name
        data[position] ^= 0x10


def _longer(bundle: Path) -> None:
    with (bundle / "weights").open("ab") as file:
        file.write(b"\0")


def _shorter(bundle: Path) -> None:
    os.truncate(bundle / "weights", 10)


def _gone(bundle: Path) -> None:
    (bundle / "weights").unlink()


def _link(bundle: Path) -> None:
    (bundle / "weights").rename(bundle.parent / "elsewhere")
    (bundle / "weights").symlink_to(bundle.parent / "elsewhere")


def _folder_link(bundle: Path) -> None:
    (bundle / "native").rename(bundle.parent / "elsewhere")
    (bundle / "native").symlink_to(bundle.parent / "elsewhere")


def _more(bundle: Path) -> None:
    (bundle / "native" / "extra.so").write_bytes(b"payload")


def _empty_folder(bundle: Path) -> None:
    (bundle / "plugins").mkdir()


def _fifo(bundle: Path) -> None:
    (bundle / "weights").unlink()
    os.mkfifo(bundle / "weights")


def _folder_for_file(bundle: Path) -> None:
    (bundle / "weights").unlink()
    (bundle / "weights").mkdir()


def _swapped(bundle: Path) -> None:
    (bundle / "weights").rename(bundle / "spare")
    (bundle / "program").rename(bundle / "weights")
    (bundle / "spare").rename(bundle / "program")


@pytest.mark.parametrize(
    ("change", "file", "sentence"),
    [
        (_longer, "weights", "longer than the 200 bytes"),
        (_shorter, "weights", "shorter than the 200 bytes"),
        (_gone, "weights", "missing"),
        (_link, "weights", "is a link"),
        (_folder_link, "native", "is a link"),
        (_more, "native/extra.so", "not in its manifest"),
        (_empty_folder, "plugins", "not in its manifest"),
        (_fifo, "weights", "not a plain file"),
        (_folder_for_file, "weights", "not a plain file"),
        (_swapped, "program", "altered"),
    ],
)
def test_a_bundle_of_another_shape_is_refused_by_file(
    bundle: Path, change: Callable[[Path], None], file: str, sentence: str
):
    manifest = read_manifest(bundle)
    change(bundle)
    for check in (lambda: check_files(bundle, manifest), lambda: open_verified(bundle, manifest)):
        with pytest.raises(AlteredError, match=sentence) as caught:
            check()
        assert caught.value.file == file


def test_what_changes_after_the_copy_changes_nothing(bundle: Path):
    with open_verified(bundle) as verified:
        (bundle / "weights").write_bytes(b"\xff" * 200)
        assert (verified.folder / "weights").read_bytes() == FILES["weights"]


def test_the_copy_is_held_against_the_manifest_that_was_admitted(bundle: Path):
    admitted = read_manifest(bundle)
    (bundle / "weights").write_bytes(b"\xff" * 200)
    write_manifest(bundle, BUILD)
    check_files(bundle, read_manifest(bundle))
    with pytest.raises(AlteredError, match="weights was altered"):
        open_verified(bundle, admitted)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path):
    with pytest.raises(BundleError, match=r"has no manifest\.json"):
        read_manifest(tmp_path)
    with pytest.raises(BundleError, match="no such folder"):
        read_manifest(tmp_path / "absent")


@pytest.mark.parametrize("predicate", [{"größe": 1}, {"x": float("nan")}, {"x": 2**53}, {"x": b""}, {"x": "\ud800"}])
def test_what_canonical_json_cannot_say_is_not_written(bundle: Path, predicate: dict[str, Any]):
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(BundleError):
        write_manifest(bundle, predicate)
    assert (bundle / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("name", ["grün", "a b", ".hidden", "a\\b", "new\nline"])
def test_a_file_name_that_could_be_read_two_ways_is_not_recorded(bundle: Path, name: str):
    (bundle / name).write_bytes(b"")
    with pytest.raises(BundleError, match="not a plain relative path"):
        write_manifest(bundle, BUILD)


def test_reading_a_manifest_imports_no_compiler():
    script = (
        "import sys, graphopt.bundle; "
        "loaded = {'onnx', 'numba', 'llvmlite', 'networkx', 'cryptography', 'web3', 'numpy'} & sys.modules.keys(); "
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
