"""Files of others: opened once, as plain files, without waiting, and read no further than is believed.

In the place of a file a stranger may put a FIFO, which would hang whoever opens it, or a device, which never ends.
"""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from graphopt.errors import GraphoptError

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class FileError(GraphoptError):
    """A file is not of the kind or size that can be read; `problem` says how, without the name."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(f"{path} {problem}")
        self.problem = problem


def open_file(path: Path, *, follow: bool = True) -> io.FileIO:
    """The plain file at `path`; FileError for a folder, FIFO or device, OSError where there is none.

    `follow`: whether it may be a link; where it may not, one is an OSError (ELOOP).
    """
    return _plain(os.open(path, _FLAGS if follow else _FLAGS | os.O_NOFOLLOW), path)


def open_below(folder: Path, name: str) -> io.FileIO:
    """The plain file `name` below `folder`; no part of `name` may be a link.  Errors as `open_file`."""
    *parents, last = name.split("/")
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for parent in parents:
            inner = os.open(parent, _FLAGS | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = inner
        return _plain(os.open(last, _FLAGS | os.O_NOFOLLOW, dir_fd=at), name)
    finally:
        os.close(at)


def read_file(path: Path, most: int) -> bytes:
    """The content of the plain file at `path`; FileError for one of more than `most` bytes, and as `open_file`."""
    with open_file(path) as file:
        return read_open(file, most, path)


def read_open(file: io.FileIO, most: int, path: Path | str) -> bytes:
    """The content of an open file from its beginning; FileError when it has more than `most` bytes."""
    if os.fstat(file.fileno()).st_size > most:
        raise FileError(path, f"has more than {most} bytes")
    file.seek(0)
    parts: list[bytes] = []
    left = most + 1
    while left > 0 and (part := file.read(left)):
        parts.append(part)
        left -= len(part)
    if left <= 0:
        raise FileError(path, f"has more than {most} bytes")
    return b"".join(parts)


def _plain(handle: int, path: Path | str) -> io.FileIO:
    kind = os.fstat(handle).st_mode
    if not stat.S_ISREG(kind):
        os.close(handle)
        raise FileError(path, "is a folder" if stat.S_ISDIR(kind) else "is not a plain file")
    return io.FileIO(handle, "rb")
