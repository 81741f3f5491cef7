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
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import (
    AlteredError,
    Signature,
    check_files,
    open_verified,
    read_manifest,
    save_manifest,
    write_manifest,
)
from graphopt.bundle.statement import parse_manifest
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


# --- manifests that somebody else wrote -------------------------------------------------------------------------


def _statement(bundle: Path) -> dict[str, Any]:
    return json.loads(read_manifest(bundle).payload)


def _around(payload: bytes) -> bytes:
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [],
        },
    }
    return rfc8785.dumps(document)


def _set(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        at: Any = document
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_set("_type", value="https://in-toto.io/Statement/v0.1"), "statement's type"),
        (_set("predicateType", value="https://example.org/other"), "predicate's type"),
        (_set("predicate", "format", value="graphopt/bundle/v2"), "bundle's format"),
        (_set("predicate", "serialization", "allow_symlinks", value=True), "serialization"),
        (_set("predicate", "serialization", "allow_symlinks", value=0), "serialization"),
        (_set("predicate", "more", value=1), "unknown field 'more'"),
        (_set("extra", value=1), "unknown field 'extra'"),
        (_set("predicate", "resources", value=[]), "names no files"),
        (_set("predicate", "resources", value={}), "names no files"),
        (_set("predicate", "resources", 0, "name", value="../model.onnx"), "plain relative path"),
        (_set("predicate", "resources", 0, "name", value="/etc/passwd"), "plain relative path"),
        (_set("predicate", "resources", 0, "name", value="a/./b"), "plain relative path"),
        (_set("predicate", "resources", 0, "name", value="a//b"), "plain relative path"),
        (_set("predicate", "resources", 0, "name", value="a\x00b"), "plain relative path"),
        (_set("predicate", "resources", 0, "name", value="nat\u00efve"), "plain relative path"),
        (_set("predicate", "resources", 0, "name", value=7), "not a string"),
        (_set("predicate", "resources", 0, "name", value="zzz"), "order of their names"),
        (_set("predicate", "resources", 0, "name", value="manifest.json"), "itself"),
        (_set("predicate", "resources", 0, "name", value="Program"), "twice"),
        (_set("predicate", "resources", 0, "name", value="native"), "as a file and as a folder"),
        (_set("predicate", "resources", 0, "algorithm", value="md5"), "digest algorithm"),
        (_set("predicate", "resources", 0, "digest", value="AB" * 32), "lower-case"),
        (_set("predicate", "resources", 0, "digest", value="00" * 32), "subject"),
        (_set("predicate", "resources", 0, "size", value=-1), "number of bytes"),
        (_set("predicate", "resources", 0, "size", value=True), "number of bytes"),
        (_set("predicate", "build", value=[]), "not an object"),
        (_set("predicate", "build", "deep", value=_nested(40)), "deeper than 32"),
        (_set("subject", 0, "name", value="other"), "subject"),
        (_set("subject", value=[]), "subject"),
    ],
)
def test_a_statement_of_another_form_is_refused_with_one_sentence(
    bundle: Path, change: Callable[[dict[str, Any]], None], sentence: str
):
    statement = _statement(bundle)
    change(statement)
    with pytest.raises(BundleError, match=sentence) as caught:
        parse_manifest(_around(rfc8785.dumps(statement)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (b'"checked":true', b'"checked":true,"checked":false', "the key 'checked' twice"),
        (b'"checked":true', b'"checked":NaN', "NaN"),
        (b'"checked":true', b'"checked":-Infinity', "Infinity"),
        (b'"checked":true', b'"checked":1e999', "not finite"),
        (b'"checked":true', b'"checked":9007199254740993', "2\\*\\*53"),
        (b'"checked":true', b'"checked":' + b"9" * 10_000, "2\\*\\*53"),
        (b'"checked":true', b'"checked":1.0', "canonical"),
        (b'"checked":true', b'"checked":-0', "canonical"),
        (b'"checked":true', b'"checked": true', "canonical"),
        (b'"checked":true', b'"\\u0063hecked":true', "canonical"),
        (b'"checked":true', '"ché":true'.encode(), "printable ASCII"),
        (b'"checked":true', b'"checked":"\\ud800"', "canonical"),
        (b'"checked":true', b'"checked":"\xff"', "not UTF-8"),
        (b'"checked":true', b'"checked":' + b"[" * 100_000 + b"]" * 100_000, "deeper than 32"),
        (b'"checked":true', b'"checked":', "not JSON"),
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(bundle: Path, old: bytes, new: bytes, sentence: str):
    payload = read_manifest(bundle).payload
    assert payload.count(old) == 1
    with pytest.raises(BundleError, match=sentence):
        parse_manifest(_around(payload.replace(old, new)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (_set("mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.2"), "media type"),
        (_set("dsseEnvelope", "payloadType", value="text/plain"), "payload's type"),
        (_set("dsseEnvelope", "payload", value="%%%"), "not base64"),
        (_set("dsseEnvelope", "payload", value=None), "not base64"),
        (_set("dsseEnvelope", "payload", value="ZZ=="), "not base64"),
        (_set("dsseEnvelope", "signatures", value={}), "not a list"),
        (_set("dsseEnvelope", "signatures", value=[{"keyid": "", "sig": "AA=="}] * 2), "2 signatures"),
        (_set("dsseEnvelope", "signatures", value=[{"keyid": "", "sig": ""}]), "0 bytes"),
        (_set("dsseEnvelope", "signatures", value=[{"keyid": "", "sig": "AA=="}]), "lacks 'publicKey'"),
        (_set("verificationMaterial", value={"certificate": {}}), "verification material"),
        (_set("unknown", value=1), "unknown field"),
    ],
)
def test_an_envelope_of_another_form_is_refused(bundle: Path, change: Callable[[dict[str, Any]], None], sentence: str):
    document = json.loads((bundle / "manifest.json").read_bytes())
    change(document)
    with pytest.raises(BundleError, match=sentence):
        parse_manifest(rfc8785.dumps(document))


def test_a_manifest_larger_than_the_limit_is_refused_before_it_is_parsed():
    with pytest.raises(BundleError, match="more than 16777216"):
        parse_manifest(b"[" * (16 * 2**20 + 1))


@given(st.data())
def test_no_flipped_bit_of_an_unsigned_manifest_passes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    bundle = make_bundle(tmp_path_factory.mktemp("flip") / "bundle")
    original = read_manifest(bundle)
    raw = bytearray(original.to_bytes())
    position = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[position // 8] ^= 1 << position % 8
    (bundle / "manifest.json").write_bytes(raw)
    try:
        changed = read_manifest(bundle)
        check_files(bundle, changed)
    except BundleError:
        return
    # what the compiler recorded may read differently; then the digest does too, and nobody has approved that one
    assert changed.digest != original.digest


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["_type", "subject", "predicate", "predicateType", "resources", "mediaType", "dsseEnvelope", "name"]
            )
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_invented_manifest_crashes_or_passes(raw: bytes):
    with pytest.raises(BundleError):
        parse_manifest(raw)
    with pytest.raises(BundleError):
        parse_manifest(_around(raw))
