"""A bundle's manifest on disk: write it, read it, hold the files against it, and load only what was checked.

`check_files` answers whether a bundle is whole; `open_verified` also makes sure that what was checked is what gets
loaded, by hashing while it copies to a private folder: a file that changes in between changes nothing.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from graphopt.bundle.hashing import hash_file
from graphopt.bundle.statement import (
    MANIFEST_NAME,
    MAX_ENVELOPE,
    FileRecord,
    Manifest,
    check_name,
    new_manifest,
    parse_manifest,
)
from graphopt.errors import BundleError
from graphopt.files import FileError, open_below, read_open
from graphopt.private import PrivateFolder

_LARGE = 1 << 32
_MOST_HOLES = 256
"""One byte in so many has to be written; and holes that are counted."""


class AlteredError(BundleError):
    """A file of a bundle is not what its manifest says; `file` names it."""

    def __init__(self, file: str, problem: str) -> None:
        super().__init__(f"{file} {problem}")
        self.file = file


def write_manifest(folder: str | Path, predicate: Mapping[str, Any]) -> Manifest:
    """Record every file under `folder` and `predicate` in its `manifest.json`, unsigned, and return the manifest.

    The bytes depend on the files' names and contents and on `predicate` alone.  BundleError for a link, a special file,
    a name outside plain ASCII, or a predicate that is not JSON (ASCII keys, finite numbers, integers below 2**53).
    """
    folder = Path(folder)
    records: list[FileRecord] = []
    for name in sorted(_names(folder) - {MANIFEST_NAME}):
        check_name(name)
        with open_plain(folder, name) as file:
            digest, size = hash_file(file)
        records.append(FileRecord(name, digest, size))
    manifest = new_manifest(records, predicate)
    save_manifest(folder, manifest)
    return manifest


def save_manifest(folder: str | Path, manifest: Manifest) -> None:
    """Put `manifest` into the bundle at `folder`, beside and renamed, so that a reader sees the old one or the new."""
    folder = Path(folder)
    handle, temporary = tempfile.mkstemp(prefix=".manifest-", dir=folder.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(manifest.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        os.replace(temporary, folder / MANIFEST_NAME)  # noqa: PTH105 - the pair of paths reads better
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of the bundle at `folder`, strictly parsed; BundleError when it is missing or of another form."""
    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a bundle: there is no such folder")
    try:
        with open_plain(folder, MANIFEST_NAME) as file:
            return parse_manifest(read_open(file, MAX_ENVELOPE, MANIFEST_NAME))
    except FileError as error:
        raise BundleError(f"the manifest {error.problem}") from error
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is not a bundle: it has no {MANIFEST_NAME}") from error


def check_files(folder: str | Path, manifest: Manifest) -> None:
    """Return if the files under `folder` are exactly those of `manifest`; AlteredError names the first that differs."""
    folder = Path(folder)
    check_set(folder, manifest)
    check_sizes(folder, manifest)
    for record in manifest.files:
        with open_recorded(folder, record) as file:
            check_content(record, *hash_file(file, record.size + 1))


def read_recorded(folder: str | Path, manifest: Manifest, name: str, most: int) -> bytes | None:
    """The bytes of one file of a bundle as `manifest` has it, None where it has none; AlteredError for others.

    BundleError, before anything is read, where it would have more than `most` bytes.
    """
    record = next((record for record in manifest.files if record.name == name), None)
    if record is None:
        return None
    if record.size > most:
        raise BundleError(f"{name} has {record.size} bytes by the manifest, more than {most}")
    with open_recorded(Path(folder), record) as file:
        _check_size(record, os.fstat(file.fileno()).st_size)
        content = io.BytesIO()
        check_content(record, *hash_file(file, record.size + 1, content))
    return content.getvalue()


@dataclass(frozen=True)
class VerifiedBundle:
    """A private copy of a bundle, every byte of which was hashed as it was copied.  Close it to remove the copy.

    Files that are memory-mapped or loaded as libraries stay valid after closing.
    """

    private: PrivateFolder
    manifest: Manifest

    @property
    def folder(self) -> Path:
        """Where the copy is."""
        return self.private.path

    def close(self) -> None:
        """Remove the private copy."""
        self.private.close()

    def __enter__(self) -> VerifiedBundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_verified(path: str | Path, manifest: Manifest | None = None) -> VerifiedBundle:
    """Copy the bundle at `path` to a folder only this user can enter, hashing as it copies; load from the copy.

    `manifest`, where given, is one that was read from this bundle before (and admitted by a gate): the copy is held
    against it, whatever the folder says now.  AlteredError names the first file that differs; nothing is copied where
    one has another size.  UnsafeFolderError where there is no place for a private copy.
    """
    source = Path(path)
    manifest = read_manifest(source) if manifest is None else manifest
    check_set(source, manifest)
    check_sizes(source, manifest)
    bundle = VerifiedBundle(PrivateFolder(), manifest)
    try:
        _check_room(bundle.folder, manifest)
        for record in manifest.files:
            target = bundle.folder / record.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open_recorded(source, record) as file, create_private(target) as copy:
                check_content(record, *hash_file(file, record.size + 1, copy))
        with create_private(bundle.folder / MANIFEST_NAME) as copy:
            copy.write(manifest.to_bytes())
    except BaseException:
        bundle.close()
        raise
    return bundle


def create_private(path: Path) -> BinaryIO:
    """A new file at `path` to write to, for this user alone."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb")


def check_sizes(folder: Path, manifest: Manifest) -> None:
    """Return if every file has the size on record, which costs nothing to see; AlteredError names one that has not.

    Nor may a large file be next to nothing but holes: it would be sent in a moment, and hashed for hours.
    """
    for record in manifest.files:
        with open_recorded(folder, record) as file:
            _check_size(record, os.fstat(file.fileno()).st_size)
            if record.size > _LARGE and _written(file) < record.size // _MOST_HOLES:
                raise AlteredError(record.name, f"is a file of {record.size:,} bytes that is next to nothing but holes")


def _written(file: io.FileIO) -> int:
    """Bytes of a file that are no hole, or all that lie behind many holes."""
    size, end, found = os.fstat(file.fileno()).st_size, 0, 0
    for _ in range(_MOST_HOLES):
        try:
            start = os.lseek(file.fileno(), end, os.SEEK_DATA)
        except OSError:
            # nothing but a hole follows
            return found
        end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
        found += end - start
        if end >= size:
            return found
    return found + size - end


def _check_room(folder: Path, manifest: Manifest) -> None:
    """A file full of holes takes no place where it is, and all of its size where it is copied to."""
    needed, free = sum(record.size for record in manifest.files), shutil.disk_usage(folder).free
    if needed > free:
        raise BundleError(
            f"a private copy of the bundle takes {needed:,} bytes, and {folder.parent} has {free:,}: set TMPDIR to"
            " another folder"
        )


def check_content(record: FileRecord, digest: str, size: int) -> None:
    """Return if a file with this SHA-256 and size is the one on record; AlteredError when it is not."""
    _check_size(record, size)
    if digest != record.sha256:
        raise AlteredError(record.name, f"was altered: its SHA-256 is {digest}, the manifest says {record.sha256}")


def _check_size(record: FileRecord, size: int) -> None:
    if size != record.size:
        longer = "longer" if size > record.size else "shorter"
        raise AlteredError(record.name, f"was altered: it is {longer} than the {record.size} bytes in the manifest")


def check_set(folder: Path, manifest: Manifest) -> None:
    """Return if `folder` holds exactly the files that `manifest` names; AlteredError names one that differs."""
    found = _names(folder)
    recorded = {record.name for record in manifest.files} | {MANIFEST_NAME}
    if missing := sorted(recorded - found):
        raise AlteredError(missing[0], "is missing from the bundle")
    if extra := sorted(found - recorded):
        raise AlteredError(ascii(extra[0])[1:-1], "is in the bundle but not in its manifest")


def _names(folder: Path) -> set[str]:
    """Every file under `folder`, relative, and every folder that holds nothing, so that neither can be smuggled in."""
    names: set[str] = set()
    todo = [""]
    while todo:
        inside = todo.pop()
        with os.scandir(folder / inside) as entries:
            listed = list(entries)
        if not listed and inside:
            names.add(inside)
        for entry in listed:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if entry.is_symlink():
                raise AlteredError(ascii(name)[1:-1], "is a link; a bundle holds plain files only")
            if entry.is_dir(follow_symlinks=False):
                todo.append(name)
            else:
                names.add(name)
    return names


@contextmanager
def open_plain(folder: Path, name: str) -> Generator[io.FileIO]:
    """Open a plain file below `folder` without following a link in any part of `name`."""
    try:
        file = open_below(folder, name)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise AlteredError(name, f"cannot be opened as a plain file: {error.strerror}") from error
    except FileError as error:
        raise AlteredError(name, "is not a plain file") from error
    with file:
        yield file


@contextmanager
def open_recorded(folder: Path, record: FileRecord) -> Generator[io.FileIO]:
    """Open a file of a bundle as a plain file, following no link; AlteredError when that cannot be done."""
    try:
        with open_plain(folder, record.name) as file:
            yield file
    except FileNotFoundError as error:
        raise AlteredError(record.name, "is missing from the bundle") from error
