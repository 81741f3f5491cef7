"""Files that decide: keys, policy, federation.json, floors, kept proofs, a ledger.  One rule for all of them.

Whoever can write to such a file decides in the place of its reader, and so does whoever can put another one in its
place.  So it is a plain file and no link, it belongs to this account or to root (who decides anyway), nobody else can
write to it, and the same holds for its folder.  It is opened once, and what is checked is what is read.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from graphopt.errors import GraphoptError
from graphopt.files import FileError, open_file, read_open

Refusal = Callable[[str], GraphoptError]
"""Makes the error of whoever asks from a sentence."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_own_file(path: Path, what: str, most: int, refusal: Refusal, *, secret: bool = False) -> bytes | None:
    """The content of a file that decides, None when there is none; an error about `what` for one that breaks the rule.

    `most`: how many bytes it may have.  `secret`: others must not be able to read it either.
    """
    check_own_folder(path, what, refusal)
    try:
        with open_file(path, follow=False) as file:
            _check(os.fstat(file.fileno()), path, what, refusal, secret=secret)
            return read_open(file, most, path)
    except FileNotFoundError:
        return None
    except FileError as error:
        raise refusal(f"{what} {path} cannot be read: it {error.problem}") from error
    except OSError as error:
        raise refusal(f"{what} {path} cannot be opened: {_why(error)}") from error


def check_own_file(path: Path, what: str, refusal: Refusal) -> os.stat_result | None:
    """What is at `path`, which a library is to open by its name; None for nothing, an error when it breaks the rule."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal(f"{what} {path} cannot be opened: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        raise refusal(f"{what} {path} cannot be opened: it is a link; name the file itself")
    _check(found, path, what, refusal, secret=False)
    return found


def check_own_folder(path: Path, what: str, refusal: Refusal, *, sticky: bool = True) -> None:
    """Return when nobody else can put a file in the place of `path`, or take it away.

    `sticky`: whether a folder such as /tmp will do, in which nobody can do that to the files of others, and anybody can
    make more.
    """
    folder = path.parent
    try:
        found = folder.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise refusal(f"{what} {path} cannot be opened: {error.strerror}") from error
    if found.st_uid not in (0, os.geteuid()):
        raise refusal(f"{what} {path} is not used: its folder is that of user {found.st_uid}, who could replace it")
    if found.st_mode & _OTHERS_WRITE and not (sticky and found.st_mode & stat.S_ISVTX):
        raise refusal(
            f"{what} {path} is not used: others can write to its folder; make that yours alone: chmod go-w {folder}"
        )


def _check(found: os.stat_result, path: Path, what: str, refusal: Refusal, *, secret: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise refusal(f"{what} {path} cannot be read: it is not a plain file")
    if found.st_uid not in (0, os.geteuid()):
        raise refusal(f"{what} {path} is not used: it is a file of user {found.st_uid}, and you are {os.geteuid()}")
    if secret and found.st_mode & 0o077:
        raise refusal(f"{what} {path} can be opened by others; make it yours alone: chmod 600 {path}")
    if found.st_mode & _OTHERS_WRITE:
        raise refusal(f"{what} {path} is not used: others can write to it; make it yours alone: chmod go-w {path}")


def _why(error: OSError) -> str:
    return "it is a link; name the file itself" if error.errno == errno.ELOOP else str(error.strerror)
