"""SHA-256 of a file while it is read, at the speed of SHA-256: large files are read ahead in a thread of their own."""

from __future__ import annotations

import hashlib
import io
import threading
from dataclasses import dataclass, field
from queue import Queue
from typing import BinaryIO

_PIECE = 1 << 20
_AHEAD = 3
_LARGE = 16 << 20
"""From how many bytes on a second thread pays for itself."""


def hash_file(file: io.FileIO, limit: int | None = None, copy: BinaryIO | None = None) -> tuple[str, int]:
    """SHA-256 (hexadecimal) and size of what `file` holds, up to `limit` bytes; what is hashed is written to `copy`."""
    if limit is None or limit >= _LARGE:
        return _Hashing(file, limit, copy).run()
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(min(limit, _PIECE)))
    while size < limit and (count := file.readinto(buffer[: limit - size])):
        digest.update(buffer[:count])
        if copy is not None:
            copy.write(buffer[:count])
        size += count
    return digest.hexdigest(), size


@dataclass
class _Hashing:
    """One thread reads (and copies) into a few buffers in turn, this one hashes them; both without holding the GIL."""

    file: io.FileIO
    limit: int | None
    copy: BinaryIO | None
    free: Queue[memoryview | None] = field(default_factory=Queue)
    full: Queue[tuple[memoryview, int] | BaseException] = field(default_factory=Queue)

    def run(self) -> tuple[str, int]:
        for _ in range(_AHEAD):
            self.free.put(memoryview(bytearray(_PIECE)))
        reader = threading.Thread(target=self._read, name="graphopt-read", daemon=True)
        reader.start()
        digest, size = hashlib.sha256(), 0
        try:
            while True:
                piece = self.full.get()
                if isinstance(piece, BaseException):
                    raise piece
                buffer, count = piece
                if not count:
                    break
                digest.update(buffer[:count])
                size += count
                self.free.put(buffer)
        finally:
            self.free.put(None)
            reader.join()
        return digest.hexdigest(), size

    def _read(self) -> None:
        left = self.limit
        try:
            while (buffer := self.free.get()) is not None:
                count = self.file.readinto(buffer if left is None else buffer[:left])
                if self.copy is not None and count:
                    self.copy.write(buffer[:count])
                self.full.put((buffer, count))
                if not count:
                    return
                left = None if left is None else left - count
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that hashes
            self.full.put(error)
