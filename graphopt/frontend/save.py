"""`save_onnx`: a model in a file, complete or not at all.

A protobuf message ends at 2 GiB.  A larger model keeps its large tensors in one file beside it (`NAME.data`), each
aligned to 4 KiB so that it can be memory-mapped; that file is renamed into place before the model that names it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import EncodeError
from onnx import ModelProto, TensorProto

from graphopt.errors import ModelError
from graphopt.frontend.tensor import write_packed
from graphopt.frontend.write_model import write_onnx, write_without
from graphopt.ir.constant import Constant, size_of
from graphopt.ir.graph import Graph, Value

LARGEST_MESSAGE = 2**31 - 1
_ALIGNMENT = 4096
_SMALL = 1024  # bytes; smaller tensors stay in the model, where shape inference can see them


def save_onnx(
    model: Graph | ModelProto, path: str | PathLike[str], *, external_from: int = LARGEST_MESSAGE // 2
) -> None:
    """Write a graph or a ModelProto to a file: beside it first, then renamed over it.

    A graph whose constants take `external_from` bytes or more keeps them in `NAME.data` beside the model.
    ModelError when the model cannot be written, OSError from the file system as it is.
    """
    target = Path(fspath(path))
    if isinstance(model, Graph):
        outside = _outside(model, external_from)
        if outside:
            _save_in_two(model, outside, target)
            return
        model = write_onnx(model)
    try:
        data = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise ModelError(f"{target}: the model is larger than the 2 GiB a protobuf file can hold ({error})") from error
    write_beside(target, data)


def write_beside(target: Path, data: bytes) -> None:
    """Write a file beside its final place and rename it, so that nobody ever sees half of it."""
    _write_beside(target, lambda file: file.write(data))


def _outside(graph: Graph, external_from: int) -> dict[Value, Constant]:
    large = {v: v.constant for v in graph.values() if v.constant is not None and size_of(v.constant) > _SMALL}
    return large if sum(map(size_of, large.values())) >= external_from else {}


def _save_in_two(graph: Graph, outside: dict[Value, Constant], target: Path) -> None:
    beside = target.with_name(f"{target.name}.data")
    entries: dict[Value, TensorProto] = {}
    end = 0
    for value, constant in outside.items():
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        end = start + size_of(constant)
        tensor = TensorProto(data_type=int(constant.dtype), dims=constant.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in (("location", beside.name), ("offset", str(start)), ("length", str(end - start))):
            tensor.external_data.add(key=key, value=text)
        entries[value] = tensor

    def fill(file: BinaryIO) -> None:
        for constant in outside.values():
            file.seek(-(-file.tell() // _ALIGNMENT) * _ALIGNMENT)
            write_packed(constant, file)

    data = write_without(graph, entries).SerializeToString(deterministic=True)
    _write_beside(beside, fill)
    write_beside(target, data)


def _write_beside(target: Path, write: Callable[[BinaryIO], object]) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
