"""A model's files, read once: what is compiled from them and what is hashed are the same bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from onnx import ModelProto

from graphopt.errors import ModelError
from graphopt.files import FileError, read_file
from graphopt.frontend.budget import check_subgraphs
from graphopt.frontend.external import Folder, external_files
from graphopt.frontend.text import check_text

_PROTOBUF_LIMIT = 1 << 31  # bytes of one message


@dataclass(slots=True)
class Source:
    """A model as it was when it was read, its external data included; `Source.read` makes one.

    `digest`: `sha256` of the file's bytes, and, where tensors lie in files beside the model, under `external` the name
    and the SHA-256 of each, in order.  What is written to these files later changes neither; what is too large for a
    copy and is written to in place is found out by `check_unchanged`.
    """

    path: Path
    folder: Folder
    digest: Mapping[str, Any]
    _model: ModelProto | None

    @classmethod
    def read(cls, path: str | PathLike[str], *, hashed: bool = True) -> Source:
        """Read the model at `path`; ModelError in one sentence when there is none.  Not `hashed`: `digest` is empty."""
        path = Path(fspath(path))
        try:
            return cls._read(path, hashed=hashed)
        except ModelError as error:
            raise naming(path, error) from error

    @classmethod
    def _read(cls, path: Path, *, hashed: bool) -> Source:
        data = _bytes(path)
        model, folder = ModelProto(), Folder(path.parent)
        try:
            model.ParseFromString(data)
        except DecodeError:
            raise ModelError("not an ONNX model, or a truncated one") from None
        check_subgraphs(model)
        check_text(model)
        digest: dict[str, Any] = {}
        if hashed:
            digest["sha256"] = hashlib.sha256(data).hexdigest()
            if outside := external_files(model, folder):
                digest["external"] = [{"name": name, "sha256": file.sha256()} for name, file in outside.items()]
        return cls(path, folder, digest, model)

    def take(self) -> ModelProto:
        """The model, once: whoever reads a graph from it need not keep both in memory."""
        if self._model is None:
            raise ValueError("this source was read from before")
        model, self._model = self._model, None
        return model

    def check_unchanged(self) -> None:
        """ModelError when a file that is too large for a copy was written to since it was opened."""
        self.folder.check_unchanged()


def naming(path: Path, error: ModelError) -> ModelError:
    """The error with the model's file in front, once."""
    return error if str(path) in str(error) else ModelError(f"{path}: {error}")


def _bytes(path: Path) -> bytes:
    try:
        return read_file(path, _PROTOBUF_LIMIT - 1)
    except FileNotFoundError:
        raise ModelError("no such file") from None
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})") from error
    except FileError as error:
        if error.problem.startswith("has more"):
            raise ModelError(
                f"has 2 GiB or more, and protobuf reads less than {_PROTOBUF_LIMIT} bytes: save it with external data"
            ) from None
        raise ModelError(f"cannot be read, because it {error.problem}") from None
