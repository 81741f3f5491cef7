"""Private keys under a passphrase in PKCS#8 (RFC 5958): PBES2 with PBKDF2-HMAC-SHA256 and AES-256-CBC (RFC 8018).

The library's own encryption iterates PBKDF2 2,048 times and does not let one choose.  The same passphrase protects the
member key under a costly scrypt, so that would be the cheapest place to guess it.  Any reader of PKCS#8 opens this.
"""

from __future__ import annotations

import base64
import secrets
import textwrap

ITERATIONS = 600_000
"""OWASP's Password Storage Cheat Sheet, for PBKDF2-HMAC-SHA256."""

_LABEL = "ENCRYPTED PRIVATE KEY"
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("300c06082a864886f70d02090500")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")


def encrypted_pem(key: bytes, passphrase: str) -> bytes:
    """The PEM text of the PKCS#8 key with the DER `key`, encrypted under `passphrase`."""
    from cryptography.hazmat.primitives import hashes, padding
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

    salt, start = secrets.token_bytes(16), secrets.token_bytes(16)
    secret = PBKDF2HMAC(hashes.SHA256(), 32, salt, ITERATIONS).derive(passphrase.encode())
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(key) + padder.finalize()) + encryptor.finalize()
    rounds = _element(0x02, ITERATIONS.to_bytes(3, "big"))
    derivation = _sequence(_PBKDF2, _sequence(_element(0x04, salt), rounds, _HMAC_SHA256))
    cipher = _sequence(_AES_256_CBC, _element(0x04, start))
    document = _sequence(_sequence(_PBES2, _sequence(derivation, cipher)), _element(0x04, sealed))
    lines = textwrap.wrap(base64.b64encode(document).decode(), 64)
    return "\n".join((f"-----BEGIN {_LABEL}-----", *lines, f"-----END {_LABEL}-----", "")).encode()


def _sequence(*parts: bytes) -> bytes:
    return _element(0x30, b"".join(parts))


def _element(tag: int, content: bytes) -> bytes:
    """DER: tag, length in the shortest form, content."""
    size = len(content)
    if size < 128:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 128 | len(length)]) + length + content
