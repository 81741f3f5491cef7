"""The files of a bundle before they are on disk, and how they get there: complete, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphopt.bundle.manifest import save_manifest, write_manifest
from graphopt.bundle.statement import MANIFEST_NAME, Manifest
from graphopt.errors import BundleError

MODEL, PROGRAM, WEIGHTS = "model.onnx", "program", "weights"

Content = bytes | np.ndarray | Callable[[], Iterable[bytes | memoryview]]
"""A file's bytes: at once, as an array, or piece by piece."""


def library_name(target: str, *, linked: bool = True) -> str:
    """The name of a target's native code: a shared library, or object code where there was no linker."""
    return f"native/{target}/kernels.{'so' if linked else 'a'}"


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files by name, and what the manifest says: `build`, or the manifest itself where a bundle was loaded."""

    files: Mapping[str, Content]
    build: Mapping[str, Any]
    manifest: Manifest | None = None

    def save(self, path: Path) -> Manifest:
        """Write the bundle to `path` and give its manifest.

        It is written beside and renamed.  BundleError when `path` exists and is no bundle, or its folder is missing.
        """
        path = Path(path)
        check_place(path)
        made = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.absolute().parent))
        try:
            made.chmod(0o755)
            for name in sorted(self.files):
                _write(made / name, self.files[name])
            if self.manifest is None:
                manifest = write_manifest(made, self.build)
            else:
                manifest = self.manifest
                save_manifest(made, manifest)
            _replace(made, path)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        return manifest


def check_place(path: Path) -> None:
    """Return when a bundle can be put at `path`; BundleError when what is there is no bundle, or has no folder."""
    if not path.absolute().parent.is_dir():
        raise BundleError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    if path.is_symlink() or (path.exists() and not (path / MANIFEST_NAME).is_file()):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            return
        raise BundleError(f"cannot write {path}: it exists and is no bundle; remove it or choose another name")


def _write(path: Path, content: Content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        if isinstance(content, bytes):
            file.write(content)
        elif isinstance(content, np.ndarray):
            file.write(np.ascontiguousarray(content).data)
        else:
            for piece in content():
                file.write(piece)
        file.flush()
        os.fsync(file.fileno())


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
