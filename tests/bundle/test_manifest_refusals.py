"""Manifests that somebody else wrote: one form is read, everything else is refused with one sentence."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from graphopt.bundle import check_files, read_manifest
from graphopt.bundle.statement import parse_manifest
from graphopt.errors import BundleError

from .test_manifest import make_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle")


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
