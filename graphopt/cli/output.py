"""Files that a command writes: complete, or not there at all."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphopt.errors import GraphoptError

if TYPE_CHECKING:
    import numpy as np


class OutputError(GraphoptError):
    """A place where a command was asked to write cannot take a file."""


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """A path beside `path` to write to; when the block ends well it takes the place of `path`, else it is removed."""
    check_writable(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield beside
        os.replace(beside, path)  # noqa: PTH105  the pair of paths reads better
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def check_writable(path: Path) -> None:
    """Returns when a file can be put at `path`; OutputError when not.  Asked before long work, not after it."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; give the name of a file")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path} cannot be written: {folder} is no folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path} cannot be written: {folder} is not writable")


def write_npz(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Writes arrays under their names; strings become numpy's own fixed-width text, which needs no pickle."""
    import numpy as np

    with replacing(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for name, array in arrays.items():
            plain = array.astype(str) if array.dtype == object else array
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(plain), allow_pickle=False)
