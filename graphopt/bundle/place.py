"""Where a bundle is put: it is made in a private folder beside its place, and takes the place when it is whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from graphopt.bundle.statement import MANIFEST_NAME
from graphopt.errors import BundleError
from graphopt.private import PrivateFolder


def check_place(path: Path) -> None:
    """Return when a bundle can be put at `path`; BundleError when what is there is no bundle, or has no folder."""
    if not path.absolute().parent.is_dir():
        raise BundleError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    if path.is_symlink() or (path.exists() and not (path / MANIFEST_NAME).is_file()):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            return
        raise BundleError(f"cannot write {path}: it exists and is no bundle; remove it or choose another name")


@contextmanager
def taking_place(path: str | Path, *, private: bool = False) -> Generator[Path]:
    """A folder that only this user can enter; when the block ends well it takes the place of `path`, else it is gone.

    `private`: also then nobody else can enter it, or read what is in it.  Were this process killed, the next one that
    writes to `path` takes the folder away.  BundleError, before the block begins, when `path` exists and is no bundle,
    or its folder is missing.
    """
    path = Path(path)
    check_place(path)
    made = PrivateFolder(f".{path.name}", path.absolute().parent)
    try:
        yield made.path
        if private:
            _close_to_others(made.path)
        else:
            made.path.chmod(0o755)
        _replace(made.path, path)
    except BaseException:
        made.close()
        raise
    made.keep()


def _close_to_others(folder: Path) -> None:
    for inside, _, files in os.walk(folder):
        Path(inside).chmod(0o700)
        for name in files:
            (Path(inside) / name).chmod(0o600)


def _replace(made: Path, path: Path) -> None:
    if not path.exists():
        made.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.absolute().parent))
    old.rmdir()
    path.rename(old)
    try:
        made.rename(path)
    except BaseException:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
