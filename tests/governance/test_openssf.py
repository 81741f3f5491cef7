"""OpenSSF's model signatures, both ways: theirs are verified here, and ours there."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from graphopt.errors import BundleError, GraphoptError
from graphopt_governance import actions
from graphopt_governance.home import Home
from graphopt_governance.verdict.openssf import verify_signature

IGNORED = [".git", ".gitattributes", ".github", ".gitignore", "model.sig"]
KEY = ec.derive_private_key(7, ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def statement(folder: Path) -> dict[str, Any]:
    """What model-signing 1.1.1 signs of a folder."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    digests = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
        if name.split("/")[0] not in IGNORED
    }
    root = hashlib.sha256(b"".join(map(bytes.fromhex, digests.values()))).hexdigest()
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": folder.name, "digest": {"sha256": root}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": IGNORED,
            },
            "resources": [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in digests.items()],
        },
    }


def signed(document: Any, key: ec.EllipticCurvePrivateKey = KEY) -> dict[str, Any]:
    """A signature file over `document`, as model-signing writes it."""
    payload = document if isinstance(document, bytes) else json.dumps(document, indent=2).encode()
    kind = b"application/vnd.in-toto+json"
    value = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload), ec.ECDSA(hashes.SHA256()))
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hashlib.sha256(pem(key)).hexdigest()}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": kind.decode(),
            "signatures": [{"sig": base64.b64encode(value).decode(), "keyid": ""}],
        },
    }


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("config.json", "deep/ü weights.bin", ".hidden", ".git/config"):
        (folder / name).write_text(name)
    (tmp_path / "key.pem").write_bytes(pem(KEY))
    (folder / "model.sig").write_text(json.dumps(signed(statement(folder))))
    return folder


def verify(model: Path) -> Any:
    return verify_signature(model, model / "model.sig", model.parent / "key.pem")


def test_a_folder_is_as_it_was_signed(model: Path):
    verdict = verify(model)
    assert verdict.approved
    assert verdict.exit_code == 0
    assert verdict.facts["files"] == 3
    assert "every file is as the key" in verdict.sentence
    (model / ".git" / "config").write_text("what was signed to be ignored may change")
    assert verify(model).approved


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "config.json").write_text("other"), "config.json was altered"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "deep" / "more").write_text(""), "deep/more is in the folder and was not signed"),
        (lambda folder: (folder / "deep" / "link").symlink_to("/etc/passwd"), "deep/link is a link"),
    ],
)
def test_a_file_that_is_not_as_it_was_signed_is_named(model: Path, change: Callable[[Path], object], sentence: str):
    change(model)
    verdict = verify(model)
    assert (verdict.exit_code, str(verdict.reasons[0].code)) == (10, "altered")
    assert sentence in verdict.sentence


def test_another_key_and_another_content_are_told_apart(model: Path):
    (model.parent / "key.pem").write_bytes(pem(ec.derive_private_key(8, ec.SECP256R1())))
    assert verify(model).exit_code == 13
    (model.parent / "key.pem").write_bytes(pem(KEY))
    document = signed(statement(model))
    forged = json.dumps(statement(model)).encode()
    document["dsseEnvelope"]["payload"] = base64.b64encode(forged).decode()
    (model / "model.sig").write_text(json.dumps(document))
    assert verify(model).exit_code == 12


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("predicateType",), "https://model_signing/Digests/v0.1", "no model signature v1.0"),
        (("predicate", "serialization", "method"), "shards", "only 'files' with 'sha256'"),
        (("predicate", "serialization", "hash_type"), "blake2b", "only 'files' with 'sha256'"),
        (("predicate", "serialization", "allow_symlinks"), True, "links were signed"),
        (("predicate", "serialization", "ignore_paths"), ["../model"], "not a plain path"),
        (("predicate", "serialization", "ignore_paths"), ["."], "not a plain path"),
        (("predicate", "serialization", "ignore_paths"), ["/"], "not a plain path"),
        (("predicate", "resources", 0, "name"), "../config.json", "not a plain path"),
        (("predicate", "resources", 0, "name"), "/etc/passwd", "not a plain path"),
        (("predicate", "resources", 0, "name"), "deep/ü weights.bin", "signed twice"),
        (("predicate", "resources", 0, "digest"), "ab", "no SHA-256"),
        (("predicate", "resources", 0, "digest"), "ab" * 32, "contradicts itself"),
        (("predicate", "resources"), {}, "not a list"),
        (("subject",), [], "contradicts itself|not an object"),
    ],
)
def test_what_was_signed_and_is_not_known_here_is_refused_by_name(
    model: Path, path: tuple[Any, ...], value: object, sentence: str
):
    document = statement(model)
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    (model / "model.sig").write_text(json.dumps(signed(document)))
    with pytest.raises(BundleError, match=sentence):
        verify(model)


def test_a_key_given_twice_is_refused(model: Path):
    twice = json.dumps(statement(model)).encode().replace(b'"_type"', b'"_type": "x", "_type"', 1)
    (model / "model.sig").write_text(json.dumps(signed(twice)))
    with pytest.raises(BundleError, match="gives a key twice"):
        verify(model)


def test_no_flipped_bit_of_a_signature_passes(model: Path):
    file = model / "model.sig"
    whole = file.read_bytes()
    told = json.loads(whole)
    chance = random.Random(5)
    for _ in range(300):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        try:
            verdict = verify(model)
        except GraphoptError:
            continue
        if verdict.approved:
            # nothing that is signed, and nothing that says what is: names of fields that nobody reads
            again = json.loads(data)
            assert again["dsseEnvelope"]["payload"] == told["dsseEnvelope"]["payload"]
            assert again["dsseEnvelope"]["signatures"][0]["sig"] == told["dsseEnvelope"]["signatures"][0]["sig"]


@pytest.fixture
def model_signing() -> list[str]:
    """The command of OpenSSF's tool, from this environment or from where MODEL_SIGNING says."""
    named = os.environ.get("MODEL_SIGNING") or shutil.which("model_signing", path=str(Path(sys.executable).parent))
    if named is None:
        pytest.skip("there is no model_signing: pip install model-signing pyOpenSSL, or its path in MODEL_SIGNING")
    return [named]


def test_model_signing_accepts_our_manifest_and_refuses_it_altered(
    model_signing: list[str], bundle: Path, home: Home, tmp_path: Path
):
    actions.sign(bundle)
    (tmp_path / "public.pem").write_text(actions.public_key())
    command = [*model_signing, "verify", "key", "--signature", str(bundle / "manifest.json")]
    command += ["--public_key", str(tmp_path / "public.pem"), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (bundle / "weights").write_bytes(bytes(299) + b"\1")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_what_model_signing_signs_is_verified_here(model_signing: list[str], model: Path):
    (model.parent / "private.pem").write_bytes(
        KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (model / "model.sig").unlink()
    command = [*model_signing, "sign", "key", "--signature", str(model / "model.sig")]
    command += ["--private_key", str(model.parent / "private.pem"), str(model)]
    subprocess.run(command, capture_output=True, check=True)
    verdict = verify(model)
    assert verdict.approved, verdict.sentence
    (model / "config.json").write_text("other")
    assert verify(model).exit_code == 10


def test_a_key_on_a_curve_that_nobody_knows_is_refused_by_name(tmp_path: Path):
    # sect163k1, which openssl still writes
    pem = "-----BEGIN PUBLIC KEY-----\n%s\n-----END PUBLIC KEY-----\n"
    raw = bytes.fromhex("3040301006072a8648ce3d020106052b81040001032c0004") + bytes(range(1, 43))
    (tmp_path / "key.pem").write_text(pem % base64.b64encode(raw).decode())
    with pytest.raises(BundleError, match="on none of the curves secp256r1"):
        verify_signature(tmp_path, tmp_path / "model.sig", tmp_path / "key.pem")
