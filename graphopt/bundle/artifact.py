"""The files of a bundle before they are on disk, and how they get there: complete, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphopt.bundle.manifest import save_manifest, write_manifest
from graphopt.bundle.place import taking_place
from graphopt.bundle.statement import Manifest

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
        with taking_place(path) as made:
            for name in sorted(self.files):
                _write(made / name, self.files[name])
            if self.manifest is None:
                return write_manifest(made, self.build)
            save_manifest(made, self.manifest)
            return self.manifest


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
