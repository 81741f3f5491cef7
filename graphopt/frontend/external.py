"""External data: where a tensor's bytes lie, checked before anybody looks at them.

The file must lie inside the model's folder, also after links are followed: a model must not be able to read
what its user can.  Each file is opened once, and everything is read from that one opening, so that what is compiled
is what is hashed, whatever is put in the file's place meanwhile.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message
from onnx import ModelProto, TensorProto

from graphopt.errors import ModelError
from graphopt.files import FileError, open_below
from graphopt_kernels.trust import trusted_owners

IN_MEMORY = 1 << 28
"""Bytes of a model's external data that are read into memory (256 MiB): nobody can change them there."""
_LARGE = 1 << 26
"""Bytes from which on a file is mapped as it is, where only its owner can change it; each takes an open file."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ExternalFile:
    """A file that was opened: its bytes, and, where they are mapped from it, its handle and how it was then."""

    data: np.ndarray
    handle: int | None = None
    status: os.stat_result | None = None

    @classmethod
    def mapped(cls, file: io.FileIO) -> ExternalFile:
        """The file as it lies on the disk, open for as long as anybody has this."""
        handle = os.dup(file.fileno())
        held = cls(_mapped(file), handle, os.fstat(handle))
        weakref.finalize(held, os.close, handle)
        return held

    def sha256(self) -> str:
        """SHA-256 of its bytes, in hexadecimal."""
        if self.handle is None:
            return hashlib.sha256(self.data.data).hexdigest()
        # not from where it is mapped: a file that is cut short meanwhile would end the process
        with os.fdopen(os.dup(self.handle), "rb") as file:
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def is_unchanged(self) -> bool:
        """Whether nothing was written to it since it was opened."""
        if self.handle is None or self.status is None:
            return True
        now = os.fstat(self.handle)
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
            self.status.st_size,
            self.status.st_mtime_ns,
            self.status.st_ctime_ns,
        )


@dataclass(slots=True)
class Folder:
    """The folder of a model file, in which its external data must lie, and the files of it that were opened."""

    path: Path
    opened: dict[str, ExternalFile] = field(default_factory=dict[str, ExternalFile])
    left: int = IN_MEMORY

    def open(self, location: str, where: str) -> ExternalFile:
        """The file that a tensor names; ModelError for one that is missing, no plain file, or outside the folder."""
        root = self.path.resolve()
        name = _inside(root, location, where)
        if name not in self.opened:
            try:
                file = open_below(root, name)
                self.opened[name] = self._held(file)
            except (FileNotFoundError, NotADirectoryError):
                raise ModelError(f"{where} keeps its data in {location!r}, which is missing from {root}") from None
            except FileError as error:
                raise ModelError(f"{where} keeps its data in {location!r}, which {error.problem}") from None
            except OSError as error:
                raise ModelError(
                    f"{where} keeps its data in {location!r}, which cannot be read ({error.strerror})"
                ) from error
        return self.opened[name]

    def check_unchanged(self) -> None:
        """ModelError when a file that is mapped was written to since it was opened."""
        for name, file in self.opened.items():
            if not file.is_unchanged():
                raise ModelError(f"{self.path / name} was changed while the model was read from it; begin again")

    def _held(self, file: io.FileIO) -> ExternalFile:
        """In memory while there is room; else mapped where nobody else can write to it, and a copy of it mapped, else.

        A copy has no name, so that nobody can find it.
        """
        status = os.fstat(file.fileno())
        size = status.st_size
        if size <= self.left:
            self.left -= size
            with file:
                return ExternalFile(np.frombuffer(_read(file, size), np.uint8))
        own = status.st_uid in trusted_owners() and not status.st_mode & 0o022
        if own and size >= _LARGE:
            with file:
                return ExternalFile.mapped(file)
        with file, tempfile.TemporaryFile(prefix="graphopt-") as copy:
            while piece := file.read(_PIECE):
                copy.write(piece)
            copy.flush()
            return ExternalFile(_mapped(copy))


def external_files(model: ModelProto, folder: Folder) -> Mapping[str, ExternalFile]:
    """The files beside a model in which tensors of it lie, by POSIX name relative to its folder, in order.

    ModelError for one that is missing or outside the folder.
    """
    found: dict[str, ExternalFile] = {}
    for tensor in _external_tensors(model):
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        file = folder.open(location, f"tensor {tensor.name!r}")
        root = folder.path.resolve()
        # the name as the model spells it, without what means nothing (./a, a//b); links keep their own name
        found[Path(os.path.relpath(root / location, root)).as_posix()] = file
    return dict(sorted(found.items()))


def _external_tensors(message: Any) -> Iterable[TensorProto]:
    """Every tensor in a message that keeps its data outside, wherever it stands: attributes, subgraphs, functions."""
    todo: list[Any] = [message]
    while todo:
        item = todo.pop()
        if isinstance(item, TensorProto):
            if item.data_location == TensorProto.EXTERNAL:
                yield item
            continue
        for field_, value in item.ListFields():
            if field_.message_type is not None:
                todo.extend([value] if isinstance(value, Message) else value)


def locate(tensor: TensorProto, size: int, where: str, folder: Folder | None) -> tuple[np.ndarray, int]:
    """The file's bytes and the offset of a tensor's `size` bytes in it; ModelError when they are not there in full."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None and location:
        raise ModelError(
            f"{where} keeps its data in {location!r}, and a model given as a ModelProto has no folder: "
            "give its path, or load it with onnx.load"
        )
    data = (folder or Folder(Path())).open(location, where).data
    offset = _number(entries, "offset", 0, where)
    length = _number(entries, "length", size, where)
    if length != size:
        raise ModelError(f"{where} needs {size} bytes, but its entry in {location!r} has length {length}")
    if offset + size > data.nbytes:
        raise ModelError(
            f"{where} needs bytes {offset} to {offset + size} of {location!r}, which has only {data.nbytes}: "
            "the file is truncated or belongs to another model"
        )
    return data, offset


def _inside(root: Path, location: str, where: str) -> str:
    """The file's own name below the folder, once links are followed."""
    if not location or "\0" in location:
        raise ModelError(f"{where} keeps its data outside the model but names no file")
    try:
        path = (root / location).resolve()
    except (OSError, RuntimeError):
        # links that lead to themselves
        raise ModelError(f"{where} keeps its data in {location!r}, which is missing from {root}") from None
    if not path.is_relative_to(root):
        raise ModelError(f"{where} keeps its data in {location!r}, outside the model's folder {root}: refused")
    return path.relative_to(root).as_posix()


def _read(file: io.FileIO, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := file.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _mapped(file: Any) -> np.ndarray:
    return np.memmap(file, np.uint8, "r") if os.fstat(file.fileno()).st_size else np.zeros(0, np.uint8)


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ModelError(f"{where} has the {key} {text!r} in its external data, expected a number of bytes")
    return int(text)
