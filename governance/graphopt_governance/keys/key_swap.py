"""New key files take the place of the old ones, all of them or none, wherever the process that does it is killed.

The new files are made whole in a folder of their own.  Then one file, the decision, is put beside them: before it is
there nothing has happened; from then on whoever comes by finishes, file by file, each step being done once however
often it is tried.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from graphopt_governance.errors import KeyFileError
from graphopt_governance.home import Home
from graphopt_governance.keys.key_files import create_key_file, make_private_folder, read_key_file, sync_folder

_DECISION = "decided"


def decide(home: Home, folder: Path, keep: str = "") -> None:
    """Let the key files in `folder` take the place of those in use.

    The old ones are kept in the folder of keys under the name `keep`; with none they are gone.
    """
    create_key_file(folder / _DECISION, keep.encode())
    finish(home)


def finish(home: Home) -> None:
    """Finish what was decided and interrupted, if anything was."""
    for folder in (home.next_keys, home.rekeyed):
        if folder.exists() and (decision := read_key_file(folder / _DECISION)) is not None:
            _finish(home, folder, decision.decode())


@contextmanager
def alone(home: Home) -> Generator[None]:
    """The only process that makes files for a swap in `home`; KeyFileError when there is another."""
    make_private_folder(home.keys)
    folder = os.open(home.keys, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise KeyFileError(f"another process is changing the keys in {home.keys}; try again") from error
        yield
    finally:
        os.close(folder)


def _finish(home: Home, folder: Path, keep: str) -> None:
    kept = home.keys / keep if keep else None
    if kept is not None:
        make_private_folder(kept)
    names = {key.name for key in (home.member_key, home.signing_key, home.sealing_key)}
    for new in sorted(path for path in folder.rglob("*") if path.name in names):
        key = home.keys / new.relative_to(folder)
        if kept is not None:
            # a second name for the old file, so that there is no moment without a key in use
            with suppress(FileExistsError, FileNotFoundError):
                os.link(key, kept / key.name)
            sync_folder(kept)
        with suppress(FileNotFoundError):
            new.replace(key)
        sync_folder(key.parent)
    # what else is in the folder are the leftovers of a process that was killed while it wrote there
    shutil.rmtree(folder, ignore_errors=True)
