"""Where a bundle is put: it is made in a private folder beside its place, and takes the place when it is whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from graphopt.bundle.statement import MANIFEST_NAME
from graphopt.errors import BundleError


def check_place(path: Path) -> None:
    """Return when a bundle can be put at `path`; BundleError when what is there is no bundle, or has no folder."""
    if not path.absolute().parent.is_dir():
        raise BundleError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    if path.is_symlink() or (path.exists() and not (path / MANIFEST_NAME).is_file()):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            return
        raise BundleError(f"cannot write {path}: it exists and is no bundle; remove it or choose another name")


@contextmanager
def taking_place(path: str | Path) -> Generator[Path]:
    """A folder that only this user can enter; when the block ends well it takes the place of `path`, else it is gone.

    BundleError, before the block begins, when `path` exists and is no bundle, or its folder is missing.
    """
    path = Path(path)
    check_place(path)
    made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.absolute().parent))
    try:
        yield made
        made.chmod(0o755)
        _replace(made, path)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


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
