"""Private copies: folders that only this user can enter, and that are gone again even when their maker was killed.

What is loaded is loaded from such a copy, because what lies elsewhere may change between the check and the load.  Each
folder is locked while its process uses it.  Whoever makes one takes away those of the same name that nobody locks.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from graphopt.errors import UnsafeFolderError
from graphopt_kernels.trust import why_others_can_write

_SUFFIX = ".private"
_swept: set[tuple[Path, str]] = set()


class PrivateFolder:
    """A new folder of mode 700 in `parent`, or in the folder for temporary files; close it to remove it.

    UnsafeFolderError when others could put another folder in its place.  `name` says what it is for; what a killed
    process left under the same name in the same place is removed first, once in a process.
    """

    def __init__(self, name: str = "graphopt", parent: Path | None = None) -> None:
        if parent is None:
            parent = Path(tempfile.gettempdir())
            why = why_others_can_write(parent, shared=True)
            if why is not None:
                raise UnsafeFolderError(
                    f"no private copy can be kept in {parent}, because {why}; set TMPDIR to another"
                )
        _sweep_once(parent, name)
        self.path, self._lock = _made(parent, name)

    def close(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.keep()

    def keep(self) -> None:
        """Leave the folder to whoever gave it another name; nothing is removed."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _made(parent: Path, name: str) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=f"{name}-", suffix=_SUFFIX, dir=parent))
        # a sweeper that comes in between has removed the folder, or has the lock and is about to
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        if _locked(lock) and path.exists():
            return path, lock
        os.close(lock)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # a file system without locks: nobody sweeps there either
        return True
    return True


def _sweep_once(parent: Path, name: str) -> None:
    if (parent, name) in _swept:
        return
    _swept.add((parent, name))
    form = re.compile(re.escape(name) + r"-[a-z0-9_]{8}" + re.escape(_SUFFIX))
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if form.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                _sweep(Path(entry.path))


def _sweep(path: Path) -> None:
    """Remove a folder of this user's that no process holds."""
    with suppress(OSError):
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
        finally:
            os.close(lock)
