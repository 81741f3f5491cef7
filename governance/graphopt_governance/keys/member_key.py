"""The secp256k1 key with which a member votes: an Ethereum V3 keystore, and EIP-712 signatures of 65 bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from eth_hash.auto import keccak

from graphopt_governance.errors import BallotError, KeyFileError
from graphopt_governance.keys.key_files import (
    Passphrase,
    create_key_file,
    passphrase_for_new_key,
    passphrase_from_environment,
    read_key_file,
)
from graphopt_governance.keys.undumped import keep_to_itself

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_ECDSA = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)

# scrypt's cost (n).  The standard's own for a passphrase; without one the file protects nothing and need not be slow.
_COST_WITH_PASSPHRASE = 2**17
_COST_WITHOUT = 2


@dataclass(frozen=True)
class MemberKey:
    """A secp256k1 private key and its account."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def account(self) -> bytes:
        """The Ethereum address (20 bytes)."""
        numbers = self.private.public_key().public_numbers()
        return keccak(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))[12:]

    def sign(self, identity: bytes) -> bytes:
        """Sign a 32-byte digest: r, s (in its low form) and v, 65 bytes (ECDSA, RFC 6979)."""
        from eth_keys.datatypes import Signature

        r, s = decode_dss_signature(self.private.sign(identity, _ECDSA))
        s = min(s, _ORDER - s)
        for parity in (0, 1):
            signature = Signature(vrs=(parity, r, s))
            if signature.recover_public_key_from_msg_hash(identity).to_canonical_address() == self.account:
                return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + parity])
        raise AssertionError("a signature that its own key did not make")


def load_member_key(
    path: Path, passphrase: Passphrase = passphrase_from_environment, *, make: bool = True
) -> MemberKey:
    """The key in the V3 keystore at `path`, made on first use when `make`; KeyFileError when it cannot be had."""
    from eth_keyfile.keyfile import decode_keyfile_json

    keep_to_itself()
    content = read_key_file(path)
    if content is None:
        if not make:
            raise KeyFileError(f"there is no member key at {path}; the first vote makes one")
        content = create_key_file(path, _new_key(passphrase_for_new_key(passphrase)))
    try:
        keystore = json.loads(content)
        cost = keystore["crypto"]["kdfparams"].get("n")
        # a keystore without a passphrase says so by its cost; asking for one would be in vain
        secret = "" if cost == _COST_WITHOUT else passphrase()
        if secret is None:
            raise KeyFileError(f"the member key {path} needs a passphrase (GRAPHOPT_PASSPHRASE_FILE)")
        private = decode_keyfile_json(keystore, secret.encode())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyFileError(f"the member key {path} cannot be read: not a V3 keystore, or another passphrase") from error
    return MemberKey(ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256K1()))


def account_at(path: Path) -> bytes | None:
    """The account of the keystore at `path` by its own word, which takes no passphrase; None where it says none.

    Good for telling a member which of the members he is, and for nothing that matters.
    """
    content = read_key_file(path)
    try:
        account = bytes.fromhex(json.loads(content or b"{}")["address"].removeprefix("0x"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return account if len(account) == 20 else None


@lru_cache(maxsize=1024)
def recover(identity: bytes, signature: bytes) -> bytes:
    """The account whose key made a 65-byte `signature` over `identity`; BallotError for one that cannot count."""
    from eth_keys.datatypes import Signature
    from eth_keys.exceptions import BadSignature
    from eth_utils.exceptions import ValidationError

    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if len(signature) != 65 or s > _ORDER // 2 or signature[64] not in (27, 28):
        raise BallotError("a signature is not of 65 bytes in the one form that counts")
    try:
        recovered = Signature(vrs=(signature[64] - 27, r, s)).recover_public_key_from_msg_hash(identity)
    except (BadSignature, ValidationError) as error:
        raise BallotError("a signature is nobody's") from error
    return recovered.to_canonical_address()


def in_order(signatures: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Signatures, given with their accounts, as the contract wants them: one an account, accounts ascending."""
    return [signature for _, signature in sorted(dict(signatures).items())]


def encode_member_key(key: MemberKey, passphrase: str | None) -> bytes:
    """The content of a V3 keystore with `key`, encrypted where there is a passphrase."""
    from eth_keyfile.keyfile import create_keyfile_json

    private = key.private.private_numbers().private_value.to_bytes(32, "big")
    cost = _COST_WITH_PASSPHRASE if passphrase else _COST_WITHOUT
    return json.dumps(create_keyfile_json(private, (passphrase or "").encode(), kdf="scrypt", iterations=cost)).encode()


def _new_key(passphrase: str | None) -> bytes:
    return encode_member_key(MemberKey(ec.generate_private_key(ec.SECP256K1())), passphrase)
