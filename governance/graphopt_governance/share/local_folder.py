"""Writing into a folder that others share: below its root no link is followed, and nothing but a file is replaced.

Whoever shares the folder can put a link or a folder in the place of anything in it, also while something is written.
So every step is taken from an open folder, never from a path.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path

from graphopt_governance.errors import StoreError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def write_below(root: Path, path: str, pieces: Iterable[bytes], store: str) -> None:
    """Put the file `path` below `root`, under another name until it is whole; missing folders are made.

    StoreError, about `store`, for a link or a folder in the place of what it needs; other trouble as OSError.
    """
    *folders, name = path.split("/")
    root.mkdir(parents=True, exist_ok=True)
    with _inside(root, folders, store) as folder:
        part = f"{name}.{secrets.token_hex(4)}.part"
        try:
            with os.fdopen(os.open(part, _NEW, 0o666, dir_fd=folder), "wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            _check_replaceable(name, folder, f"{path} in the store {store}")
            os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(part, dir_fd=folder)
            raise


@contextmanager
def _inside(root: Path, folders: Iterable[str], store: str) -> Generator[int]:
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in folders:
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=at)
            try:
                inner = os.open(name, _FOLDER, dir_fd=at)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise StoreError(f"the store {store} has a link in the place of a folder, or a file") from error
                raise
            os.close(at)
            at = inner
        yield at
    finally:
        os.close(at)


def _check_replaceable(name: str, folder: int, what: str) -> None:
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(there):
        kind = "a link" if stat.S_ISLNK(there) else "a folder" if stat.S_ISDIR(there) else "no plain file"
        raise StoreError(f"{what} cannot be written: in its place is {kind}")
