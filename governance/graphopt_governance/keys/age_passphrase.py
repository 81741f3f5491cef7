"""Small files under a passphrase in the format of age: what `age -p` writes, and reads.

pyrage chooses scrypt's cost by a stopwatch, so that on a busy machine a key takes seconds to open, or is refused as too
costly.  A key file is written once and opened by every command: here its cost is stated.

Source: age-encryption.org/v1 (C2SP), the scrypt recipient, header MAC and STREAM payload.
"""

from __future__ import annotations

import base64
import binascii
import os
import re

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAX_CONTENT = 1 << 16
"""One piece of a STREAM: a key file is never longer."""

_COST = 17
"""log2 of scrypt's N, as for the member key's keystore; `age` itself writes about 18."""
_MAX_COST = 20
"""A gigabyte of memory: more than that nobody's key file should ask for."""

_LABEL = b"age-encryption.org/v1/scrypt"
_HEADER = re.compile(
    rb"age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n([A-Za-z0-9+/]{43})\n---", re.ASCII
)
_ONLY_PIECE = bytes(11) + b"\1"


def encrypt(content: bytes, passphrase: str) -> bytes:
    """`content`, of at most 64 KiB, under `passphrase`."""
    if len(content) > MAX_CONTENT:
        raise ValueError(f"{len(content)} bytes are more than one piece of {MAX_CONTENT}")
    file_key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    wrapped = ChaCha20Poly1305(_wrapping(passphrase, salt, _COST)).encrypt(bytes(12), file_key, None)
    header = b"age-encryption.org/v1\n-> scrypt %s %d\n%s\n---" % (_base64(salt), _COST, _base64(wrapped))
    mac = _header_mac(file_key, header).finalize()
    payload = ChaCha20Poly1305(_derived(file_key, nonce, b"payload")).encrypt(_ONLY_PIECE, content, None)
    return header + b" " + _base64(mac) + b"\n" + nonce + payload


def decrypt(data: bytes, passphrase: str) -> bytes:
    """What `encrypt`, or `age -p`, put under `passphrase`; ValueError for another passphrase and for anything else."""
    found = _HEADER.match(data)
    if found is None:
        raise ValueError("not a file of age under a passphrase")
    header, rest = found[0], data[found.end() :]
    mac, line_end, payload = rest[1:44], rest[44:45], rest[45:]
    cost = int(found[2])
    if rest[:1] != b" " or line_end != b"\n" or cost > _MAX_COST:
        raise ValueError("not a file of age under a passphrase, or one of a cost beyond reason")
    try:
        wrapping = _wrapping(passphrase, _bytes(found[1]), cost)
        file_key = ChaCha20Poly1305(wrapping).decrypt(bytes(12), _bytes(found[3]), None)
        _header_mac(file_key, header).verify(_bytes(mac))
        return ChaCha20Poly1305(_derived(file_key, payload[:16], b"payload")).decrypt(_ONLY_PIECE, payload[16:], None)
    except (InvalidTag, InvalidSignature, binascii.Error) as error:
        raise ValueError("another passphrase, or an altered file") from error


def _wrapping(passphrase: str, salt: bytes, cost: int) -> bytes:
    return Scrypt(_LABEL + salt, length=32, n=2**cost, r=8, p=1).derive(passphrase.encode())


def _derived(file_key: bytes, salt: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, purpose).derive(file_key)


def _header_mac(file_key: bytes, header: bytes) -> HMAC:
    mac = HMAC(_derived(file_key, b"", b"header"), SHA256())
    mac.update(header)
    return mac


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    data = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if _base64(data) != text:
        raise ValueError("base64 with bits beyond its last byte")
    return data
