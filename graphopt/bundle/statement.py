"""What is signed: an in-toto Statement about the files of a bundle, in a DSSE envelope, in a Sigstore bundle.

Pure functions from bytes to bytes; the file system is `manifest.py`'s.  The predicate type is that of OpenSSF's
model-signing, so that its `verify` accepts a signed manifest as it is: one subject, whose digest covers the files'
digests in order.  That digest does not cover the files' *names*; the statement does, so the digest that is approved
and anchored is SHA-256 of the DSSE pre-authentication encoding (`Manifest.digest`), the same before and after signing.

Sources: in-toto Attestation Statement v1, DSSE v1.0 (protocol.md), Sigstore bundle v0.3, model-signing predicate v1.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NoReturn, cast

from graphopt import strict_json
from graphopt.errors import BundleError

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
FORMAT = "graphopt/bundle/v1"
SUBJECT = "graphopt-bundle"
MANIFEST_NAME = "manifest.json"

MAX_ENVELOPE = 16 * 2**20
MAX_FILES = 10_000
MAX_SIGNATURE = 256
MAX_PREDICATE = 2 * 2**20
"""Bytes of what the compiler records; it writes a few thousand, and a line for each file of external data."""
_VALUES_OF_A_FILE, _OTHER_VALUES, _VALUES_OF_AN_ENVELOPE = 8, 60_000, 64

_NAME = re.compile(r"[A-Za-z0-9_+=,@-][A-Za-z0-9_.+=,@-]*(/[A-Za-z0-9_+=,@-][A-Za-z0-9_.+=,@-]*)*", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SERIALIZATION: dict[str, Any] = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": [MANIFEST_NAME],
}


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a bundle: its POSIX name relative to the bundle, its SHA-256 in hexadecimal, its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature over the pre-authentication encoding, and the hint which key made it.

    `key` is the SHA-256, in hexadecimal, of the public key's PEM text: a hint where to look, never a reason to trust.
    """

    value: bytes
    key: str


@dataclass(frozen=True)
class Manifest:
    """A manifest whose form was checked: the signed bytes, what they say, and the signature where there is one."""

    payload: bytes
    statement: Mapping[str, Any]
    files: tuple[FileRecord, ...]
    signature: Signature | None

    @property
    def pre_authentication(self) -> bytes:
        """The bytes that a signature covers: DSSE's PAE of payload type and payload."""
        kind = PAYLOAD_TYPE.encode()
        return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(self.payload), self.payload)

    @cached_property
    def digest(self) -> bytes:
        """What is approved, anchored and revoked: 32 bytes, SHA-256 of `pre_authentication`."""
        return hashlib.sha256(self.pre_authentication).digest()

    @property
    def predicate(self) -> Mapping[str, Any]:
        """What the compiler recorded: source, rewrites, options, versions, target, evidence."""
        return cast("Mapping[str, Any]", self.statement["predicate"]["build"])

    def signed(self, signature: Signature) -> Manifest:
        """The same manifest with `signature` in place of any it had; the digest does not change."""
        return replace(self, signature=signature)

    def to_bytes(self) -> bytes:
        """The content of `manifest.json`."""
        signatures: list[dict[str, str]] = []
        material: dict[str, Any] = {}
        if self.signature is not None:
            signatures = [{"keyid": "", "sig": base64.b64encode(self.signature.value).decode()}]
            material = {"publicKey": {"hint": self.signature.key}, "tlogEntries": []}
        envelope = {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": signatures,
        }
        document = {"mediaType": MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": envelope}
        return strict_json.encode(document, "the manifest")


def new_manifest(files: Sequence[FileRecord], predicate: Mapping[str, Any]) -> Manifest:
    """The unsigned manifest of a bundle that consists of `files`; BundleError for names or values it cannot hold."""
    ordered = sorted(files, key=lambda record: record.name)
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": SUBJECT, "digest": {"sha256": _root(ordered)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": _SERIALIZATION,
            "resources": [
                {"name": record.name, "algorithm": "sha256", "digest": record.sha256, "size": record.size}
                for record in ordered
            ],
            "format": FORMAT,
            "build": dict(predicate),
        },
    }
    return _from_payload(strict_json.encode(statement, "the manifest's statement"), None)


def parse_manifest(data: bytes) -> Manifest:
    """Read `manifest.json`; one BundleError sentence for anything but the exact form that `to_bytes` writes."""
    if len(data) > MAX_ENVELOPE:
        _refuse(f"the manifest has {len(data)} bytes, more than {MAX_ENVELOPE}")
    where = "the manifest"
    decoded = strict_json.decode(data, where, most_values=_VALUES_OF_AN_ENVELOPE)
    document = _fields(decoded, where, "mediaType", "verificationMaterial", "dsseEnvelope")
    _expect(document["mediaType"], MEDIA_TYPE, "the manifest's media type")
    envelope = _fields(document["dsseEnvelope"], "the DSSE envelope", "payload", "payloadType", "signatures")
    _expect(envelope["payloadType"], PAYLOAD_TYPE, "the payload's type")
    payload = _base64(envelope["payload"], "the DSSE payload")
    return _from_payload(payload, _signature(envelope["signatures"], document["verificationMaterial"]))


def check_name(name: str) -> None:
    """Refuse a file name that is not a plain relative POSIX path of printable ASCII without `..` or hidden parts."""
    if len(name) > 255 or _NAME.fullmatch(name) is None:
        _refuse(
            f"the file name {name[:300]!a} is not a plain relative path (letters, digits and _.+=,@- between slashes)"
        )


def _from_payload(payload: bytes, signature: Signature | None) -> Manifest:
    where = "the statement"
    most = _VALUES_OF_A_FILE * MAX_FILES + _OTHER_VALUES
    decoded = strict_json.decode(payload, where, most_values=most)
    statement = _fields(decoded, where, "_type", "subject", "predicateType", "predicate")
    _expect(statement["_type"], STATEMENT_TYPE, "the statement's type")
    _expect(statement["predicateType"], PREDICATE_TYPE, "the predicate's type")
    keys = ("serialization", "resources", "format", "build")
    predicate = _fields(statement["predicate"], "the predicate", *keys)
    _expect(predicate["format"], FORMAT, "the bundle's format")
    _expect(predicate["serialization"], _SERIALIZATION, "the predicate's serialization")
    if not isinstance(predicate["build"], dict):
        _refuse("the predicate's build is not an object")
    if len(strict_json.encode(predicate["build"], "the predicate's build")) > MAX_PREDICATE:
        _refuse(f"the predicate's build has more than {MAX_PREDICATE} bytes")
    records = _records(predicate["resources"])
    subject = [{"name": SUBJECT, "digest": {"sha256": _root(records)}}]
    _expect(statement["subject"], subject, "the statement's subject")
    return Manifest(payload, statement, records, signature)


def _records(resources: object) -> tuple[FileRecord, ...]:
    if not isinstance(resources, list) or not resources:
        _refuse("the manifest names no files")
    listed = cast("list[object]", resources)
    if len(listed) > MAX_FILES:
        _refuse(f"the manifest names {len(listed)} files, more than {MAX_FILES}")
    records = tuple(_record(item) for item in listed)
    names = [record.name for record in records]
    if names != sorted(names):
        _refuse("the manifest's files are not in the order of their names")
    folded = {name.casefold() for name in names}
    if len(folded) != len(names) or MANIFEST_NAME in folded:
        _refuse("the manifest names a file twice, or itself")
    folders = {"/".join(name.split("/")[:depth]) for name in folded for depth in range(1, name.count("/") + 1)}
    if both := sorted(folders & folded):
        _refuse(f"the manifest names {both[0]!a} both as a file and as a folder")
    return records


def _record(item: object) -> FileRecord:
    fields = _fields(item, "a file's record", "name", "algorithm", "digest", "size")
    name, digest, size = fields["name"], fields["digest"], fields["size"]
    if not isinstance(name, str):
        _refuse("a file's name in the manifest is not a string")
    check_name(name)
    _expect(fields["algorithm"], "sha256", f"the digest algorithm of {name}")
    if not isinstance(digest, str) or _SHA256.fullmatch(digest) is None:
        _refuse(f"the digest of {name} in the manifest is not a SHA-256 in lower-case hexadecimal")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        _refuse(f"the size of {name} in the manifest is not a number of bytes")
    return FileRecord(name, digest, size)


def _signature(signatures: object, material: object) -> Signature | None:
    if not isinstance(signatures, list):
        _refuse("the envelope's signatures are not a list")
    listed = cast("list[object]", signatures)
    if not listed:
        _expect(material, {}, "the verification material of an unsigned manifest")
        return None
    if len(listed) > 1:
        _refuse(f"the envelope has {len(listed)} signatures; a manifest has one, approvals live on the chain")
    fields = _fields(listed[0], "the signature", "keyid", "sig")
    _expect(fields["keyid"], "", "the signature's keyid")
    value = _base64(fields["sig"], "the signature")
    if not 0 < len(value) <= MAX_SIGNATURE:
        _refuse(f"the signature has {len(value)} bytes; expected 1 to {MAX_SIGNATURE}")
    outer = _fields(material, "the verification material", "publicKey", "tlogEntries")
    _expect(outer["tlogEntries"], [], "the transparency log entries")
    hint = _fields(outer["publicKey"], "the public key", "hint")["hint"]
    if not isinstance(hint, str) or _SHA256.fullmatch(hint) is None:
        _refuse("the public key's hint is not a SHA-256 in lower-case hexadecimal")
    return Signature(value, hint)


def _root(records: Sequence[FileRecord]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(record.sha256) for record in records)).hexdigest()


def _fields(value: object, where: str, *names: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(f"{where} is not an object")
    fields = cast("dict[str, Any]", value)
    if missing := sorted(set(names) - fields.keys()):
        _refuse(f"{where} lacks {missing[0]!a}")
    if extra := sorted(fields.keys() - set(names)):
        _refuse(f"{where} has the unknown field {extra[0]!a}")
    return fields


def _expect(value: object, expected: object, what: str) -> None:
    # bytes, because Python holds 0 == False and 1 == 1.0
    if strict_json.encode(value, what) != strict_json.encode(expected, what):
        _refuse(f"{what} is {_short(value)}; expected {_short(expected)}")


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _base64(text: object, where: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or base64.b64encode(data).decode() != text:
        _refuse(f"{where} is not base64")
    return data


def _refuse(sentence: str) -> NoReturn:
    raise BundleError(sentence)
