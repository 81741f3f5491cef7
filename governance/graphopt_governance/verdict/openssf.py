"""Verify a folder by an OpenSSF model signature, as `model_signing sign key` makes them; no federation is asked.

Sigstore bundle v0.3 → DSSE envelope → in-toto Statement v1 → predicate with one resource a file.  The signature is
checked over the bytes as they came, and only then are they parsed, once, with no key twice; then every file of the
folder is hashed, and the set of files must be exactly the one that was signed, but for what was signed to be ignored.
What this reader does not know (certificates, shards, other hashes, links) is refused by its name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from graphopt import strict_json
from graphopt.bundle import AlteredError
from graphopt.bundle.hashing import hash_file
from graphopt.bundle.manifest import open_plain
from graphopt.bundle.statement import MAX_ENVELOPE, MEDIA_TYPE, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE
from graphopt.errors import BundleError
from graphopt.files import FileError, read_file
from graphopt_governance.verdict.verify import Code, Reason, Verdict
from graphopt_governance.wording import printable

_MAX_FILES = 1_000_000
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The curves of model-signing, and the hash that goes with each."""


def verify_signature(folder: Path, signature: Path, public_key: Path) -> Verdict:
    """Judge the files in `folder` by the signature in the file `signature`, made with the key in `public_key` (PEM).

    BundleError when there is nothing to judge: no folder, no key, or a signature that is none or of a kind that is not
    read here.  The verdict's digest is SHA-256 of what was signed (DSSE's pre-authentication encoding).
    """
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder")
    key, hint = _public_key(public_key)
    envelope, named = _envelope(_read(signature, "the signature"), str(signature))
    payload, value = envelope
    signed = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
    digest = hashlib.sha256(signed).hexdigest()
    facts: dict[str, Any] = {"signer": hint, "basis": f"the public key in {public_key}; no federation was asked"}
    if named not in (None, hint):
        sentence = f"signed by another key: the signature names {str(named)[:16]}…, and {public_key} is {hint[:16]}…"
        return Verdict((Reason(Code.UNKNOWN_SIGNER, printable(sentence)),), digest, facts)
    try:
        key.verify(value, signed, ec.ECDSA(_HASHES[key.curve.name]))
    except InvalidSignature:
        sentence = "the signature does not hold: it is not of this content by the key given"
        return Verdict((Reason(Code.BAD_SIGNATURE, sentence),), digest, facts)
    files, ignored = _statement(payload)
    facts["files"] = len(files)
    try:
        _check_files(folder, files, ignored)
    except AlteredError as error:
        return Verdict((Reason(Code.ALTERED, printable(str(error))),), digest, facts)
    return Verdict((), digest, facts)


def _check_files(folder: Path, files: Mapping[str, str], ignored: Sequence[PurePosixPath]) -> None:
    found = set(_names(folder, ignored))
    if missing := sorted(files.keys() - found):
        raise AlteredError(missing[0], "is missing from the folder")
    if extra := sorted(found - files.keys()):
        raise AlteredError(extra[0], "is in the folder and was not signed")
    for name, expected in files.items():
        try:
            with open_plain(folder, name) as file:
                digest, _ = hash_file(file)
        except FileNotFoundError as error:
            raise AlteredError(name, "is missing from the folder") from error
        if digest != expected:
            raise AlteredError(name, f"was altered: its SHA-256 is {digest}, what was signed is {expected}")


def _names(folder: Path, ignored: Sequence[PurePosixPath]) -> Iterator[str]:
    """Every file under `folder`, relative to it, but for what is ignored; AlteredError for a link."""
    todo = [PurePosixPath()]
    while todo:
        inside = todo.pop()
        with os.scandir(folder / inside) as entries:
            listed = list(entries)
        for entry in listed:
            path = inside / entry.name
            if any(path == hidden or hidden in path.parents for hidden in ignored):
                continue
            if entry.is_symlink():
                raise AlteredError(str(path), "is a link; a signed folder holds plain files only")
            if entry.is_dir(follow_symlinks=False):
                todo.append(path)
            else:
                yield str(path)


def _statement(payload: bytes) -> tuple[dict[str, str], list[PurePosixPath]]:
    """The files' digests by name, and the paths that were signed to be ignored."""
    statement = _object(_json(payload, "what was signed"), "what was signed")
    if statement.get("_type") != STATEMENT_TYPE or statement.get("predicateType") != PREDICATE_TYPE:
        kind = statement.get("predicateType")
        _refuse(
            f"what was signed is no model signature v1.0 but {_shown(kind)}; sign the model again with model-signing"
        )
    predicate = _object(statement.get("predicate"), "the predicate")
    method = _object(predicate.get("serialization"), "the serialization")
    if method.get("method") != "files" or method.get("hash_type") != "sha256":
        how = f"{_shown(method.get('method'))} with {_shown(method.get('hash_type'))}"
        _refuse(f"the files were hashed by the method {how}; only 'files' with 'sha256' is read here")
    if method.get("allow_symlinks") not in (None, False):
        _refuse("links were signed (allow_symlinks); they are not followed here")
    ignored = [_path(item, "a path to ignore") for item in _list(method.get("ignore_paths", []), "the paths to ignore")]
    files: dict[str, str] = {}
    joined = hashlib.sha256()
    for item in _list(predicate.get("resources"), "the resources"):
        resource = _object(item, "a resource")
        name = str(_path(resource.get("name"), "a file's name"))
        digest = resource.get("digest")
        if resource.get("algorithm") != "sha256" or not isinstance(digest, str) or not _is_sha256(digest):
            _refuse(f"the digest of {_shown(name)} is no SHA-256 in hexadecimal")
        if name in files:
            _refuse(f"the file {_shown(name)} was signed twice")
        files[name] = digest
        joined.update(bytes.fromhex(digest))
    subjects = _list(statement.get("subject"), "the subjects")
    subject = _object(subjects[0], "the subject") if len(subjects) == 1 else {}
    if _object(subject.get("digest"), "the subject's digest").get("sha256") != joined.hexdigest():
        _refuse("what was signed contradicts itself: its subject's digest is not that of its resources")
    return files, ignored


def _envelope(data: bytes, where: str) -> tuple[tuple[bytes, bytes], object]:
    """The payload and its signature, and the key that the bundle names."""
    bundle = _object(_json(data, where), where)
    if bundle.get("mediaType") != MEDIA_TYPE:
        _refuse(f"{where} is of the type {_shown(bundle.get('mediaType'))}, not a Sigstore bundle v0.3")
    material = _object(bundle.get("verificationMaterial"), "the verification material")
    if "publicKey" not in material:
        _refuse(f"{where} was not made with a key ({_shown(', '.join(sorted(material)))}); only those are read here")
    envelope = _object(bundle.get("dsseEnvelope"), "the DSSE envelope")
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        _refuse(f"the payload is of the type {_shown(envelope.get('payloadType'))}, not {PAYLOAD_TYPE}")
    signatures = _list(envelope.get("signatures"), "the signatures")
    if len(signatures) != 1:
        _refuse(f"the envelope has {len(signatures)} signatures; expected one")
    value = _base64(_object(signatures[0], "the signature").get("sig"), "the signature")
    named = _object(material["publicKey"], "the public key").get("hint")
    return (_base64(envelope.get("payload"), "the payload"), value), named or None


def _public_key(path: Path) -> tuple[ec.EllipticCurvePublicKey, str]:
    try:
        key = serialization.load_pem_public_key(_read(path, "the public key"))
    except ValueError as error:
        raise BundleError(f"{path} is no public key in PEM") from error
    except UnsupportedAlgorithm:
        _refuse(f"the key in {path} is on none of the curves {', '.join(_HASHES)}")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _HASHES:
        _refuse(f"the key in {path} is on none of the curves {', '.join(_HASHES)}")
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key, hashlib.sha256(pem).hexdigest()


def _read(path: Path, what: str) -> bytes:
    try:
        return read_file(path, MAX_ENVELOPE)
    except OSError as error:
        raise BundleError(f"{what} {path} cannot be read: {error.strerror}") from error
    except FileError as error:
        raise BundleError(f"{what} {path} cannot be read, because it {error.problem}") from error


def _json(data: bytes, where: str) -> object:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            _refuse(f"{where} gives a key twice")
        return value

    if strict_json.is_deeper(data, strict_json.MAX_DEPTH):
        _refuse(f"{where} is nested too deeply")
    try:
        return json.loads(data.decode(), object_pairs_hook=once)
    except ValueError as error:
        raise BundleError(f"{where} is not JSON") from error


def _path(value: object, what: str) -> PurePosixPath:
    if not isinstance(value, str) or not value or "\0" in value or "\\" in value:
        _refuse(f"{what} is {_shown(value)}, not a path")
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or not path.parts or str(path) != value:
        _refuse(f"{what} is {_shown(value)}, not a plain path below the folder")
    return path


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(f"{what} is not an object")
    return cast("dict[str, Any]", value)


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list) or len(cast("list[Any]", value)) > _MAX_FILES:
        _refuse(f"{what} is not a list of at most {_MAX_FILES}")
    return cast("list[Any]", value)


def _base64(value: object, what: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else _refuse(f"{what} is not base64")
    except (binascii.Error, ValueError) as error:
        raise BundleError(f"{what} is not base64") from error


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


def _shown(value: object) -> str:
    return ascii(value)[:120]


def _refuse(sentence: str) -> NoReturn:
    raise BundleError(sentence)
