"""Where members leave bundles for each other: a folder, or anything that fsspec reaches by a URL.

    bundles/DIGEST/…            a bundle's files, the manifest last, so that a bundle is there when its manifest is
    sealed/DIGEST.age           a bundle that only some members can open
    inclusions/DIGEST.json      that a manifest is in an anchored batch
    builds/DIGEST.json          how long compiling took, by somebody's word

Everything is found by the digest it must have, and nothing is trusted: what comes back is whole and has that digest, or
it is an error.  A store that is slow, endless or dead costs time, and not more than a stated time.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from graphopt.bundle import MANIFEST_NAME, AlteredError, Manifest, save_manifest
from graphopt.bundle.statement import MAX_ENVELOPE, parse_manifest
from graphopt.bundle.transfer import PIECE, IncomingFile, outgoing
from graphopt.errors import GraphoptError
from graphopt.files import FileError, open_below
from graphopt.text import printable
from graphopt_governance.errors import StoreError, StoreTimeoutError
from graphopt_governance.share.local_folder import write_below
from graphopt_governance.share.patience import Patience

ENVIRONMENT = "GRAPHOPT_STORE"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Put:
    """What was put into a store: where, how many files and bytes were sent; none when all was there already."""

    place: str
    files: int
    nbytes: int

    def to_json(self) -> dict[str, Any]:
        """The same as data."""
        return asdict(self)


class Store:
    """A place for bundles; `Store.at` opens one.

    `patience`: seconds that a call may take, to which reading adds one for each megabyte that has come.
    """

    def __init__(self, filesystem: Any, root: str, name: str, patience: float = 60.0) -> None:
        self.name = name
        self._files = filesystem
        self._root = root.rstrip("/")
        self._patience = patience
        protocol = filesystem.protocol
        # an object store shows a file when it is whole; on a disk that takes a second name
        here = "file" in ((protocol,) if isinstance(protocol, str) else protocol)
        self._folder = Path(self._root) if here else None

    @classmethod
    def at(cls, url: str, patience: float = 60.0) -> Store:
        """The store at a folder's path or a URL; StoreError when fsspec does not know how to reach it.

        Credentials are fsspec's own business (configuration, environment); none are ever shown.
        """
        from fsspec.core import url_to_fs

        name = shown(url)
        try:
            filesystem, root = url_to_fs(url)
        except ImportError as error:
            raise StoreError(f"the store {name} cannot be reached: {error}") from error
        except ValueError as error:
            raise StoreError(f"the store {name} is of no kind that fsspec knows") from error
        except Exception as error:
            # a back end that connects at once, or wants more than a URL; its words may hold the URL
            raise StoreError(f"the store {name} cannot be reached: {_why(error)}") from error
        return cls(filesystem, str(root), name, patience)

    @classmethod
    def chosen(cls, url: str | None) -> Store:
        """The store at `url`, else at $GRAPHOPT_STORE; StoreError when neither names one."""
        url = url or os.environ.get(ENVIRONMENT)
        if not url:
            raise StoreError(f"no store is named: give --store, or set {ENVIRONMENT}")
        return cls.at(url)

    def put(self, bundle: Path, manifest: Manifest, *, again: bool = False) -> Put:
        """Send the bundle at `bundle`; files that are there with their size are not sent `again` unless asked for.

        AlteredError, and no manifest in the store, when the bundle is not whole.
        """
        folder = f"bundles/{manifest.digest.hex()}"
        files = nbytes = 0
        for record, pieces in outgoing(bundle, manifest):
            path = f"{folder}/{record.name}"
            if again or self._size(path) != record.size:
                self._write(path, pieces)
                files, nbytes = files + 1, nbytes + record.size
        envelope = manifest.to_bytes()
        if files or self.read(f"{folder}/{MANIFEST_NAME}", MAX_ENVELOPE) != envelope:
            self._write(f"{folder}/{MANIFEST_NAME}", [envelope])
            files, nbytes = files + 1, nbytes + len(envelope)
        return Put(self.place(folder), files, nbytes)

    def put_file(self, path: str, file: Path) -> Put:
        """Send one file to `path` in the store."""
        with file.open("rb") as opened:
            self._write(path, iter(lambda: opened.read(PIECE), b""))
        return Put(self.place(path), 1, file.stat().st_size)

    def put_bytes(self, path: str, content: bytes) -> None:
        """Write a small file at `path` in the store."""
        self._write(path, [content])

    def manifest(self, digest: bytes) -> Manifest | None:
        """The manifest with this digest, None when the store has none; StoreError when it is another's or no manifest.

        Its signature is whatever the store says: not under the digest, and to be judged.
        """
        data = self.read(f"bundles/{digest.hex()}/{MANIFEST_NAME}", MAX_ENVELOPE)
        if data is None:
            return None
        with self._blamed(f"what the store {self.name} has as {_short(digest)} is no bundle"):
            manifest = parse_manifest(data)
        if manifest.digest != digest:
            raise StoreError(f"the store {self.name} has another bundle in the place of {_short(digest)}")
        return manifest

    def get(self, manifest: Manifest, folder: Path) -> None:
        """Bring the files of a bundle into the private `folder`, and put `manifest` beside them.

        StoreError when one is missing or is not what the manifest says; no more is written than the manifest allows.
        """
        what = f"the bundle {_short(manifest.digest)} in the store {self.name} cannot be used"
        patience = Patience(self._patience)
        with self._blamed(what):
            for record in manifest.files:
                with IncomingFile(folder, record) as file:
                    pieces = self.pieces(f"bundles/{manifest.digest.hex()}/{record.name}", record.size + 1, patience)
                    if pieces is None:
                        raise AlteredError(record.name, "is missing")
                    for piece in pieces:
                        file.write(piece)
        save_manifest(folder, manifest)

    def read(self, path: str, limit: int, patience: float | None = None) -> bytes | None:
        """The bytes of a small file, None when there is none; StoreError when it has more than `limit`.

        `patience`: seconds, where it is worth less than the store's own.
        """
        pieces = self.pieces(path, limit + 1, Patience(self._patience if patience is None else patience))
        if pieces is None:
            return None
        content = b"".join(pieces)
        if len(content) > limit:
            raise StoreError(f"{path} in the store {self.name} has more than {limit} bytes")
        return content

    def pieces(self, path: str, limit: int, patience: Patience | None = None) -> Generator[bytes] | None:
        """The first `limit` bytes of a file, piece by piece; None when there is none.  Close what is not read out."""
        patience = patience or Patience(self._patience)
        try:
            file = self._asked(patience, lambda: self._files.open(self._path(path), "rb"))
        except FileNotFoundError:
            return None
        return self._pieces(file, limit, patience)

    def place(self, path: str) -> str:
        """Where something is in the store, as it may be shown."""
        return f"{self.name.rstrip('/')}/{path}"

    def _pieces(self, file: Any, limit: int, patience: Patience) -> Generator[bytes]:
        try:
            left = limit
            while left > 0:
                piece = bytes(self._asked(patience, partial(file.read, min(PIECE, left))))
                if not piece:
                    return
                left -= len(piece)
                patience.extend(len(piece) / 2**20)
                yield piece
        finally:
            file.close()

    def _write(self, path: str, pieces: Iterable[bytes]) -> None:
        """Send a file, and see that it is there: under its name, and with the bytes that were sent."""
        sent = _Sent(pieces)
        if self._folder is None:
            self._send(path, sent)
        else:
            folder = self._folder
            self._told(lambda: write_below(folder, path, sent, self.name))
        digest, size = hashlib.sha256(), 0
        for piece in self._written(path, sent.size + 1):
            digest.update(piece)
            size += len(piece)
        if (digest.digest(), size) != (sent.digest.digest(), sent.size):
            raise StoreError(f"the store {self.name} does not give back what was put there as {path}")

    def _written(self, path: str, limit: int) -> Iterable[bytes]:
        if self._folder is None:
            return self.pieces(path, limit) or ()
        file = self._plain(path)
        return () if file is None else _read_out(file, limit)

    def _plain(self, path: str) -> io.FileIO | None:
        """A file in a store that is a folder; what is behind a link is not in the store, whatever it is."""
        try:
            return open_below(Path(self._root), path)
        except (OSError, FileError):
            return None

    def _send(self, path: str, pieces: Iterable[bytes]) -> None:
        place = self._path(path)
        try:
            out = self._opened_to_write(place)
            try:
                for piece in pieces:
                    self._told(partial(out.write, piece))
            finally:
                self._told(out.close)
        except BaseException as error:
            # closing may have made a file of what had come
            with self._forgiven():
                self._files.rm(place)
            if isinstance(error, FileNotFoundError):
                raise StoreError(f"the store {self.name} cannot be written: there is no such place") from error
            raise

    def _opened_to_write(self, place: str) -> Any:
        def opened() -> Any:
            return self._files.open(place, "wb")

        try:
            return self._told(opened)
        except FileNotFoundError:
            # only where folders are asked for: on an object store this would make a bucket of a typing error
            self._told(lambda: self._files.makedirs(place.rpartition("/")[0], exist_ok=True))
            return self._told(opened)

    def _size(self, path: str) -> int | None:
        try:
            if self._folder is not None:
                return None if (file := self._plain(path)) is None else _size_of(file)
            return int(self._told(lambda: self._files.size(self._path(path))))
        except FileNotFoundError:
            return None

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if self._root else path

    def _told(self, call: Callable[[], Result]) -> Result:
        """A call that sends; it may take as long as the network does."""
        try:
            return call()
        except (GraphoptError, FileNotFoundError):
            raise
        except Exception as error:
            raise self._trouble(error, "written") from error

    def _asked(self, patience: Patience, call: Callable[[], Result]) -> Result:
        """A call that reads, for as long as the patience lasts."""
        try:
            return patience.call(call)
        except FileNotFoundError:
            raise
        except TimeoutError as error:
            raise StoreTimeoutError(f"the store {self.name} is too slow: given up") from error
        except Exception as error:
            raise self._trouble(error, "read") from error

    def _trouble(self, error: Exception, doing: str) -> StoreError:
        return StoreError(f"the store {self.name} cannot be {doing}: {_why(error)}")

    @contextmanager
    def _blamed(self, what: str) -> Generator[None]:
        try:
            yield
        except StoreError:
            raise
        except GraphoptError as error:
            raise StoreError(f"{what}: {error}") from error

    @contextmanager
    def _forgiven(self) -> Generator[None]:
        try:
            yield
        except Exception:  # noqa: BLE001 - the error that led here is the one to tell
            return


class _Sent:
    """Pieces on their way, and what they came to."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Generator[bytes]:
        for piece in self._pieces:
            self.digest.update(piece)
            self.size += len(piece)
            yield piece


def _size_of(file: io.FileIO) -> int:
    with file:
        return os.fstat(file.fileno()).st_size


def _read_out(file: io.FileIO, limit: int) -> Generator[bytes]:
    with file:
        while limit > 0 and (piece := file.read(min(PIECE, limit))):
            limit -= len(piece)
            yield piece


def shown(url: str) -> str:
    """A store's URL as it may be shown: without user, password, query or fragment."""
    # up to the last @, because a password may hold one, or a slash
    plain = re.sub(r"//.*@", "//", url) if "://" in url else url
    return printable(re.split(r"[?#]", plain, maxsplit=1)[0] if "://" in url else url)


def _why(error: Exception) -> str:
    # what a back end says may hold the URL with its credentials; the system's own words do not
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__


def _short(digest: bytes) -> str:
    return f"{digest.hex()[:16]}…"
