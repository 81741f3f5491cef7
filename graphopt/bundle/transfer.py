"""A bundle on its way from one place to another: every byte is hashed as it passes, on both ends.

What is sent was checked while it was read; what arrives is written only as far as the manifest says it may.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from pathlib import Path
from types import TracebackType

from graphopt.bundle.manifest import AlteredError, check_content, check_set, open_recorded
from graphopt.bundle.statement import FileRecord, Manifest

PIECE = 1 << 20
"""The most bytes of a file that are in memory at once."""


def outgoing(folder: str | Path, manifest: Manifest) -> Generator[tuple[FileRecord, Generator[bytes]]]:
    """Each file of a bundle in order, with its bytes piece by piece.  Read each, or none of it, before the next.

    AlteredError when the files are not exactly those of `manifest`; at the end of a file's bytes, when these differ.
    """
    folder = Path(folder)
    check_set(folder, manifest)
    for record in manifest.files:
        yield record, _pieces(folder, record)


def _pieces(folder: Path, record: FileRecord) -> Generator[bytes]:
    digest, size = hashlib.sha256(), 0
    with open_recorded(folder, record) as file:
        while size <= record.size and (piece := file.read(min(PIECE, record.size + 1 - size))):
            digest.update(piece)
            size += len(piece)
            # of a file that grew, no more is sent than was promised: its digest is then wrong all the same
            yield piece if size <= record.size else piece[: record.size - size]
    check_content(record, digest.hexdigest(), size)


class IncomingFile:
    """A file of a bundle that arrives from elsewhere, written to `folder` as it is hashed.

    Never more than the bytes on record are written.  Leave the block only when all have come: AlteredError when they
    are not those on record.  Until the whole bundle has come, `folder` must be nobody else's.
    """

    def __init__(self, folder: Path, record: FileRecord) -> None:
        self._record = record
        self._digest = hashlib.sha256()
        self._size = 0
        path = folder / record.name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("xb")

    @property
    def missing(self) -> int:
        """How many bytes have not come yet."""
        return self._record.size - self._size

    def write(self, piece: bytes | memoryview) -> None:
        """Take the next bytes; AlteredError when they are more than what is on record."""
        if len(piece) > self.missing:
            raise AlteredError(self._record.name, f"is longer than the {self._record.size} bytes in the manifest")
        self._digest.update(piece)
        self._file.write(piece)
        self._size += len(piece)

    def __enter__(self) -> IncomingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                check_content(self._record, self._digest.hexdigest(), self._size)
                self._file.flush()
                os.fsync(self._file.fileno())
