"""Key files: made once, whole or not at all, and readable by their owner alone; and the passphrase that opens them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from graphopt_governance.errors import KeyFileError
from graphopt_governance.keys.own_files import read_own_file

Passphrase = Callable[[], str | None]
"""Asked only when one is needed; None when there is none."""


@runtime_checkable
class AskedPassphrase(Protocol):
    """A passphrase that a person is asked for, and is asked for otherwise when it will protect a new key."""

    def __call__(self) -> str | None:
        """The passphrase that opens what there is."""
        ...

    def for_new_key(self) -> str | None:
        """The passphrase for a key that is being made; the same for all keys of one command."""
        ...


def passphrase_for_new_key(passphrase: Passphrase) -> str | None:
    """What a key that is being made is to be protected with; None or "" for nothing."""
    return passphrase.for_new_key() if isinstance(passphrase, AskedPassphrase) else passphrase()


_MAX_KEY_FILE = 65536
_MAX_PASSPHRASE = 4096


def passphrase_from_environment(variable: str = "GRAPHOPT_PASSPHRASE") -> str | None:
    """The first line of the file $GRAPHOPT_PASSPHRASE_FILE names, or $GRAPHOPT_PASSPHRASE; None when neither is set.

    KeyFileError for a file that cannot be read, is no UTF-8, or whose first line is empty: whoever names one means to
    be protected.
    """
    if named := os.environ.get(f"{variable}_FILE"):
        try:
            # a FIFO is as good as a file here: `<(pass show graphopt)`
            with Path(named).open("rb") as file:
                line = file.readline(_MAX_PASSPHRASE + 1)
            secret = line.decode().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"the passphrase file {named} cannot be read") from error
        if not 0 < len(line) <= _MAX_PASSPHRASE or not secret:
            raise KeyFileError(f"the first line of the passphrase file {named} is empty, or no line of a passphrase")
        return secret
    return checked_passphrase(os.environ.get(variable))


def checked_passphrase(given: str | None) -> str | None:
    """What is given as a passphrase; KeyFileError for what is no UTF-8, which no key file could be encrypted under."""
    try:
        (given or "").encode()
    except UnicodeEncodeError as error:
        raise KeyFileError("the passphrase is no UTF-8, so no key file can be under it") from error
    return given


def read_key_file(path: Path, most: int = _MAX_KEY_FILE) -> bytes | None:
    """The content of a key file, None when there is none; KeyFileError when it breaks the rule of `own_files`.

    KeyFileError, too, when others than its owner can open it, and for one of more than `most` bytes.
    """
    return read_own_file(path, "the key file", most, KeyFileError, secret=True)


def make_private_folder(path: Path) -> None:
    """Make a folder of mode 700, and so each one above it that is missing."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def create_key_file(path: Path, content: bytes) -> bytes:
    """Write a new key file of mode 600 in a folder of mode 700; the content of the one that was there first, if any."""
    make_private_folder(path.parent)
    temporary = _written_beside(path, content)
    try:
        try:
            # a link, not a rename: of two processes that make the first key at once, both use the same one
            os.link(temporary, path)
        except FileExistsError:
            existing = read_key_file(path)
            if existing is None:
                raise KeyFileError(f"the key file {path} came and went while it was made") from None
            return existing
    finally:
        temporary.unlink()
    sync_folder(path.parent)
    return content


def replace_key_file(path: Path, content: bytes) -> None:
    """Put a key file of mode 600 in the place of the one at `path`, if any: whoever reads sees the one or the other."""
    make_private_folder(path.parent)
    temporary = _written_beside(path, content)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Return when what was made, renamed or removed in the folder at `path` is on the disk."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _written_beside(path: Path, content: bytes) -> Path:
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink()
        raise
    return Path(temporary)
