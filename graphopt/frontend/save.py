"""`save_onnx`: a model in a file, complete or not at all."""

from __future__ import annotations

import os
import tempfile
from os import PathLike, fspath
from pathlib import Path

from onnx import ModelProto

from graphopt.frontend.write_model import write_onnx
from graphopt.ir.graph import Graph


def save_onnx(model: Graph | ModelProto, path: str | PathLike[str]) -> None:
    """Write a graph or a ModelProto to a file: beside it first, then renamed over it."""
    target = Path(fspath(path))
    proto = model if isinstance(model, ModelProto) else write_onnx(model)
    write_beside(target, proto.SerializeToString(deterministic=True))


def write_beside(target: Path, data: bytes) -> None:
    """Write a file beside its final place and rename it, so that nobody ever sees half of it."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
