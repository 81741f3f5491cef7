"""Key files: made once, whole or not at all, and readable by their owner alone; and the passphrase that opens them."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from graphopt_governance.errors import KeyFileError

Passphrase = Callable[[], str | None]
"""Asked only when one is needed; None when there is none."""

_MAX_KEY_FILE = 65536


def passphrase_from_environment() -> str | None:
    """The first line of the file $GRAPHOPT_PASSPHRASE_FILE names, or $GRAPHOPT_PASSPHRASE; None when neither is set."""
    if named := os.environ.get("GRAPHOPT_PASSPHRASE_FILE"):
        try:
            lines = Path(named).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise KeyFileError(f"the passphrase file {named} cannot be read") from error
        return lines[0] if lines else ""
    return os.environ.get("GRAPHOPT_PASSPHRASE")


def read_key_file(path: Path) -> bytes | None:
    """The content of a key file, None when there is none; KeyFileError when others than its owner can open it."""
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
        return file.read(_MAX_KEY_FILE)


def make_private_folder(path: Path) -> None:
    """Make a folder of mode 700, and so each one above it that is missing."""
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def create_key_file(path: Path, content: bytes) -> bytes:
    """Write a new key file of mode 600 in a folder of mode 700; the content of the one that was there first, if any."""
    make_private_folder(path.parent)
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            # a link, not a rename: of two processes that make the first key at once, both use the same one
            os.link(temporary, path)
        except FileExistsError:
            existing = read_key_file(path)
            if existing is None:
                raise KeyFileError(f"the key file {path} came and went while it was made") from None
            return existing
    finally:
        Path(temporary).unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return content
