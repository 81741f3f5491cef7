"""Key files: made once, whole or not at all, and readable by their owner alone; and the passphrase that opens them."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, runtime_checkable

from graphopt_governance.errors import KeyFileError

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


def passphrase_from_environment(variable: str = "GRAPHOPT_PASSPHRASE") -> str | None:
    """The first line of the file $GRAPHOPT_PASSPHRASE_FILE names, or $GRAPHOPT_PASSPHRASE; None when neither is set."""
    if named := os.environ.get(f"{variable}_FILE"):
        try:
            lines = Path(named).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"the passphrase file {named} cannot be read") from error
        return lines[0] if lines else ""
    return os.environ.get(variable)


def read_key_file(path: Path, most: int = _MAX_KEY_FILE) -> bytes | None:
    """The content of a key file, None when there is none; KeyFileError when others than its owner can open it.

    KeyFileError, too, for one of more than `most` bytes.
    """
    try:
        # O_NONBLOCK: a FIFO in the place of a key must not hang the reader
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be opened: {error.strerror}") from error
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        raise KeyFileError(f"the key file {path} is not a plain file")
    with os.fdopen(handle, "rb") as file:
        if mode & 0o077:
            raise KeyFileError(f"the key file {path} can be opened by others; make it yours alone: chmod 600 {path}")
        content = file.read(most + 1)
    if len(content) > most:
        raise KeyFileError(f"the key file {path} has more than {most} bytes")
    return content


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
