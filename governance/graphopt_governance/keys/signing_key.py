"""The P-256 key that signs manifests, and checking such signatures against the hash that the registry binds.

The registry and a signed manifest name a key by the SHA-256 of its PEM text (model-signing's hint).  The key itself
need not be distributed: an ECDSA signature determines it up to a few candidates, and the hash picks the one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from graphopt.bundle import Signature
from graphopt_governance.errors import KeyFileError
from graphopt_governance.keys.key_files import (
    Passphrase,
    create_key_file,
    passphrase_for_new_key,
    passphrase_from_environment,
    read_key_file,
)
from graphopt_governance.keys.pkcs8 import encrypted_pem
from graphopt_governance.keys.undumped import keep_to_itself

_ECDSA = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


@dataclass(frozen=True)
class SigningKey:
    """A P-256 private key."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def hint(self) -> bytes:
        """What names the key: SHA-256 (32 bytes) of the public key's PEM text."""
        return key_hint(self.private.public_key())

    @property
    def public_pem(self) -> bytes:
        """The public key as `model_signing verify key --public-key` reads it."""
        return _pem(self.private.public_key())

    def sign(self, message: bytes) -> Signature:
        """Sign `message` (ECDSA over SHA-256, RFC 6979, DER)."""
        return Signature(self.private.sign(message, _ECDSA), self.hint.hex())


def load_signing_key(
    path: Path, passphrase: Passphrase = passphrase_from_environment, *, make: bool = True
) -> SigningKey:
    """The key in the PKCS#8 file at `path`, made on first use when `make`; KeyFileError when it cannot be had."""
    keep_to_itself()
    content = read_key_file(path)
    if content is None:
        if not make:
            raise KeyFileError(f"there is no signing key at {path}; `graphopt sign` makes one")
        content = create_key_file(path, _new_key(passphrase_for_new_key(passphrase)))
    try:
        try:
            private = serialization.load_pem_private_key(content, None)
        except TypeError:
            # only now is it known that the file is encrypted, so only now is a passphrase asked for
            secret = passphrase()
            if not secret:
                raise KeyFileError(f"the signing key {path} needs a passphrase (GRAPHOPT_PASSPHRASE_FILE)") from None
            private = serialization.load_pem_private_key(content, secret.encode())
    except ValueError as error:
        raise KeyFileError(f"the signing key {path} cannot be read: not PKCS#8, or another passphrase") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
        raise KeyFileError(f"the signing key {path} is not a P-256 key")
    return SigningKey(private)


def key_hint(public: ec.EllipticCurvePublicKey) -> bytes:
    """What names a public key: SHA-256 (32 bytes) of its PEM text."""
    return hashlib.sha256(_pem(public)).digest()


def signature_holds(signature: Signature, message: bytes) -> bool:
    """Whether the key that `signature` names made it over `message`.  Whose key that is, the registry knows."""
    try:
        r, s = decode_dss_signature(signature.value)
    except ValueError:
        return False
    for public in _candidates(r, s, int.from_bytes(hashlib.sha256(message).digest(), "big")):
        if key_hint(public).hex() == signature.key:
            try:
                public.verify(signature.value, message, ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                return False
            return True
    return False


def encode_signing_key(key: SigningKey, passphrase: str | None) -> bytes:
    """The content of a PKCS#8 file with `key`, encrypted where there is a passphrase."""
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    if passphrase:
        return encrypted_pem(key.private.private_bytes(serialization.Encoding.DER, pkcs8, plain), passphrase)
    return key.private.private_bytes(serialization.Encoding.PEM, pkcs8, plain)


def _new_key(passphrase: str | None) -> bytes:
    return encode_signing_key(SigningKey(ec.generate_private_key(ec.SECP256R1())), passphrase)


def _pem(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


# --- public keys from a signature (SEC 1, 4.1.6): only public values, checked afterwards by the library ------------

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)

_Point = tuple[int, int] | None


def _candidates(r: int, s: int, hashed: int) -> list[ec.EllipticCurvePublicKey]:
    if not (0 < r < _N and 0 < s < _N):
        return []
    inverse = pow(r, -1, _N)
    keys: list[ec.EllipticCurvePublicKey] = []
    for x in {r, r + _N}:
        squared = (x**3 - 3 * x + _B) % _P
        y = pow(squared, (_P + 1) // 4, _P)
        if x >= _P or y * y % _P != squared:
            continue
        for point in ((x, y), (x, _P - y)):
            found = _add(_multiply(point, s * inverse % _N), _multiply(_G, -hashed * inverse % _N))
            if found is not None:
                keys.append(ec.EllipticCurvePublicNumbers(*found, ec.SECP256R1()).public_key())
    return keys


def _add(left: _Point, right: _Point) -> _Point:
    if left is None or right is None:
        return right if left is None else left
    if left[0] == right[0] and (left[1] + right[1]) % _P == 0:
        return None
    if left == right:
        slope = (3 * left[0] * left[0] - 3) * pow(2 * left[1], -1, _P) % _P
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, _P) % _P
    x = (slope * slope - left[0] - right[0]) % _P
    return x, (slope * (left[0] - x) - left[1]) % _P


def _multiply(point: _Point, times: int) -> _Point:
    result: _Point = None
    while times:
        if times & 1:
            result = _add(result, point)
        point, times = _add(point, point), times >> 1
    return result
