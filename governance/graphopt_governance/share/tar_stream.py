"""A bundle as a tar file, in one form only: plain files in a known order, their headers known to the byte.

Written so that every `tar` unpacks it: POSIX ustar, with a pax record for a name beyond 100 bytes and the usual
base-256 size beyond 8 GiB.  Read by comparing each header with the one that would have been written, so there is
nothing to interpret: no links, no other names, no second file of a name, nothing after the end.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from graphopt.bundle import MANIFEST_NAME, Manifest
from graphopt.bundle.statement import MAX_ENVELOPE, parse_manifest
from graphopt.bundle.transfer import PIECE, IncomingFile, outgoing
from graphopt.errors import BundleError

NOTE_NAME = "sealed.json"
MAX_NOTE = 1 << 16

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_MAX_OCTAL = 8**11


class Admits(Protocol):
    """Asked once the first two members were read and before anything is written; raises what it will to refuse."""

    def __call__(self, note: bytes, manifest: Manifest) -> None: ...


def tar_of(bundle: Path, manifest: Manifest, note: bytes) -> Iterator[bytes]:
    """The tar file of a bundle, piece by piece: `note`, the manifest, then its files, each hashed as it is read.

    AlteredError when the bundle is not what `manifest` says; what came before must then be thrown away.
    """
    envelope = manifest.to_bytes()
    yield from (header(NOTE_NAME, len(note)), note, _padding(len(note)))
    yield from (header(MANIFEST_NAME, len(envelope)), envelope, _padding(len(envelope)))
    for record, pieces in outgoing(bundle, manifest):
        yield header(record.name, record.size)
        yield from pieces
        yield _padding(record.size)
    yield _END


class PieceReader:
    """Pieces of bytes as a file that can be read.  `error`: what stopped them, where the reader hides it."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.error: BaseException | None = None
        self._pieces = iter(pieces)
        self._held = memoryview(b"")

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, at least one before the end; all that is left when `size` is negative."""
        if size < 0:
            return b"".join((self._held, *self._pieces))
        while not self._held:
            try:
                piece = next(self._pieces, None)
            except BaseException as error:
                self.error = error
                raise
            if piece is None:
                return b""
            self._held = memoryview(piece)
        taken, self._held = self._held[:size], self._held[size:]
        return bytes(taken)


class Unpacker:
    """A file to write a tar file into that `tar_of` made; its bundle appears in `folder`, checked against its manifest.

    BundleError from `write` for any other bytes.  `finish` gives the note and the manifest when everything has come.
    """

    def __init__(self, folder: Path, admit: Admits) -> None:
        self._reading = _unpack(folder, admit)
        self._wanted = next(self._reading)
        self._result: tuple[bytes, Manifest] | None = None

    def write(self, data: bytes) -> int:
        """Take the next bytes."""
        view = memoryview(data)
        while view:
            if self._result is not None:
                raise BundleError("the tar file goes on after its end")
            taken, view = bytes(view[: self._wanted]), view[self._wanted :]
            try:
                self._wanted = self._reading.send(taken)
            except StopIteration as stop:
                self._result = stop.value
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def finish(self) -> tuple[bytes, Manifest]:
        """The note and the manifest; BundleError when the end has not come yet."""
        if self._result is None:
            raise BundleError("the tar file ends before its end")
        return self._result

    def close(self) -> None:
        """Let go of what is open; `folder` then holds whatever had come."""
        self._reading.close()


def header(name: str, size: int) -> bytes:
    """The blocks in front of a file's bytes.  The same for the same name and size, on every machine."""
    raw = name.encode("ascii")
    if len(raw) <= 100:
        return _header(raw, size, b"0")
    record = b" path=" + raw + b"\n"
    # a pax record begins with its own length, whose digits count
    length = len(record) + len(str(len(record) + 3))
    extended = str(length).encode() + record
    blocks = _header(b"././@PaxHeader", len(extended), b"x") + extended + _padding(len(extended))
    return blocks + _header(raw[:100], size, b"0")


def _header(name: bytes, size: int, kind: bytes) -> bytes:
    shown = b"%011o\0" % size if size < _MAX_OCTAL else b"\x80" + size.to_bytes(11, "big")
    block = bytearray(_BLOCK)
    for at, field in (
        (0, name),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, shown),
        (136, b"%011o\0" % 0),
        (148, b" " * 8),
        (156, kind),
        (257, b"ustar\x0000"),
    ):
        block[at : at + len(field)] = field
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


_Reading = Generator[int, bytes, tuple[bytes, Manifest]]
"""Yields how many bytes it can take next (at least one), and is sent that many or fewer."""


def _unpack(folder: Path, admit: Admits) -> _Reading:
    note = yield from _small(NOTE_NAME, MAX_NOTE)
    manifest = parse_manifest((yield from _small(MANIFEST_NAME, MAX_ENVELOPE)))
    admit(note, manifest)
    for record in manifest.files:
        yield from _expect(header(record.name, record.size), record.name)
        with IncomingFile(folder, record) as file:
            while file.missing:
                file.write((yield min(file.missing, PIECE)))
        yield from _expect(_padding(record.size), f"the end of {record.name}")
    yield from _expect(_END, "the end")
    return note, manifest


def _small(name: str, limit: int) -> Generator[int, bytes, bytes]:
    block = yield from _exactly(_BLOCK)
    try:
        size = int(block[124:135], 8)
    except ValueError:
        size = -1
    if not 0 <= size <= limit or block != header(name, size):
        raise BundleError(f"the tar file does not have {name} where it should be")
    data = yield from _exactly(size)
    yield from _expect(_padding(size), f"the end of {name}")
    return data


def _expect(blocks: bytes, what: str) -> Generator[int, bytes, None]:
    if (yield from _exactly(len(blocks))) != blocks:
        raise BundleError(f"the tar file does not have {what} where it should be")


def _exactly(size: int) -> Generator[int, bytes, bytes]:
    held = bytearray()
    while len(held) < size:
        held += yield size - len(held)
    return bytes(held)
