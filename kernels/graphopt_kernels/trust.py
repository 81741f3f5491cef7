"""Whether somebody else can change what lies at a path: the one rule for caches and for private copies.

Code that is loaded from a folder belongs to everybody who can write there, or put another folder in its place.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MOST_LINKS = 40


def trusted_owners() -> frozenset[int]:
    """Whose folders are as good as one's own: the administrator's, under whatever number the root folder has it."""
    return frozenset((0, os.geteuid(), os.lstat("/").st_uid))


def why_others_can_write(folder: Path, *, shared: bool = False) -> str | None:
    """Who else can put something into `folder`, or another folder in its place, in words; None where nobody can.

    Every folder above it counts, and every link on the way.  One in which nobody removes what is another's (the sticky
    bit, as /tmp has it) may stand above; `shared` says that `folder` itself may be such a one.  OSError where there is
    no such folder.
    """
    trusted = trusted_owners()
    done, todo = Path("/"), list(Path(os.path.abspath(folder)).parts[1:])  # noqa: PTH100 - resolve() follows the links
    links = 0
    while True:
        status = done.lstat()
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return f"{done} is a link that leads to itself"
            if status.st_uid not in trusted:
                return f"the link {done} is another user's"
            target = Path(os.path.normpath(done.parent / done.readlink()))
            done, todo = Path("/"), [*target.parts[1:], *todo]
            continue
        if status.st_uid not in trusted:
            return f"{done} is another user's"
        sticky = bool(status.st_mode & stat.S_ISVTX) and (bool(todo) or shared)
        if status.st_mode & 0o022 and not sticky:
            return f"others can write to {done} (mode {stat.S_IMODE(status.st_mode):o})"
        if not todo:
            return None
        done /= todo.pop(0)


def read_own(path: Path) -> bytes | None:
    """The bytes of a plain file that nobody but its owner, who is trusted, can write; None for anything else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in trusted_owners() or status.st_mode & 0o022:
            return None
        return file.read()
