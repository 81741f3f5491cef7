"""The X25519 key with which a member opens what was sealed for him: an age identity, in a file that `age` reads too.

Without a passphrase the file is what `age-keygen` writes; with one it is that, encrypted by age's own scrypt recipient.
The registry keeps the public half as 32 raw bytes; people and `age` write it as `age1…`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphopt_governance.errors import KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.keys import age_passphrase, bech32
from graphopt_governance.keys.age import library
from graphopt_governance.keys.key_files import (
    Passphrase,
    create_key_file,
    passphrase_for_new_key,
    passphrase_from_environment,
    read_key_file,
)
from graphopt_governance.keys.undumped import keep_to_itself

_PREFIX = "age"
_AGE_FILE = b"age-encryption.org/v1\n"


@dataclass(frozen=True)
class SealingKey:
    """An X25519 private key.  Showing it shows the public half alone."""

    identity: Any = field(repr=False)
    """pyrage's `x25519.Identity`."""

    @property
    def recipient(self) -> bytes:
        """The public half as the registry keeps it: 32 bytes."""
        return recipient_bytes(self.recipient_text)

    @property
    def recipient_text(self) -> str:
        """The public half as age writes it: age1…"""
        return str(self.identity.to_public())

    def __repr__(self) -> str:
        return f"SealingKey({self.recipient_text})"


def load_sealing_key(
    path: Path, passphrase: Passphrase = passphrase_from_environment, *, make: bool = True
) -> SealingKey:
    """The key in the age identity file at `path`, made on first use when `make`; KeyFileError when it cannot be had."""
    age = library()
    keep_to_itself()
    content = read_key_file(path)
    if content is None:
        if not make:
            raise KeyFileError(f"there is no sealing key at {path}; `graphopt fed card` makes one")
        content = create_key_file(path, _new_key(passphrase_for_new_key(passphrase)))
    if content.startswith(_AGE_FILE):
        secret = passphrase()
        if not secret:
            raise KeyFileError(f"the sealing key {path} needs a passphrase (GRAPHOPT_PASSPHRASE_FILE)")
        try:
            content = age_passphrase.decrypt(content, secret)
        except ValueError as error:
            raise KeyFileError(f"the sealing key {path} cannot be read: altered, or another passphrase") from error
    try:
        lines = [line.strip() for line in content.decode().splitlines()]
        (text,) = (line for line in lines if line and not line.startswith("#"))
        identity = age.x25519.Identity.from_str(text)
    except (ValueError, age.IdentityError):
        # without its cause: that may quote the key
        raise KeyFileError(f"the sealing key {path} cannot be read: not an age identity of one key") from None
    return SealingKey(identity)


def opening_keys(home: Home, passphrase: Passphrase = passphrase_from_environment) -> list[SealingKey]:
    """The keys with which the owner of `home` opens what was sealed for him: today's, then those he has rotated out.

    KeyFileError when today's cannot be had; an older one that does not open with the passphrase of today is left out.
    """
    keys = [load_sealing_key(home.sealing_key, passphrase, make=False)]
    for path in sorted(home.keys.glob(f"old-*/{home.sealing_key.name}")):
        with suppress(KeyFileError):
            keys.append(load_sealing_key(path, passphrase, make=False))
    return keys


def recipient_text(recipient: bytes) -> str:
    """The `age1…` text of a public key of 32 bytes."""
    return bech32.encode(_PREFIX, recipient)


def recipient_bytes(text: str) -> bytes:
    """The 32 bytes of an `age1…` text; KeyFileError for any other text."""
    try:
        found = bech32.decode(_PREFIX, text)
    except ValueError as error:
        raise KeyFileError(f"{text[:80]!a} is not an age public key: {error}") from error
    if len(found) != 32:
        raise KeyFileError(f"{text[:80]!a} is not an age public key: it has {len(found)} bytes, not 32")
    return found


def is_usable(recipient: bytes) -> bool:
    """Whether anything can be encrypted to a public key of 32 bytes: not to a point of low order, such as all zeros.

    Of such a point everybody knows the shared secret (RFC 7748, 6.1); the registry takes any 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(recipient))
    except ValueError:
        return False
    return True


def encode_sealing_key(key: SealingKey, passphrase: str | None) -> bytes:
    """The content of an age identity file with `key`, encrypted where there is a passphrase."""
    content = f"# public key: {key.recipient_text}\n{key.identity}\n".encode()
    return age_passphrase.encrypt(content, passphrase) if passphrase else content


def _new_key(passphrase: str | None) -> bytes:
    return encode_sealing_key(SealingKey(library().x25519.Identity.generate()), passphrase)
