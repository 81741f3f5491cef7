"""External data: where a tensor's bytes lie, checked before anybody maps them.

The file must lie inside the model's folder, also after links are followed: a model must not be able to read
what its user can.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, Message
from onnx import ModelProto, TensorProto

from graphopt.errors import ModelError


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a model file, in which its external data must lie."""

    path: Path


def external_files(model: Path) -> Mapping[str, Path]:
    """The files beside the model at `model` in which tensors of it lie, by POSIX name relative to its folder, in order.

    ModelError for one that is missing or outside the folder.
    """
    data = model.read_bytes()
    if b"location" not in data:
        return {}  # most models: the name of the entry that every external tensor has
    parsed = ModelProto()
    try:
        parsed.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"{model}: not an ONNX model, or a truncated one") from None
    folder = Folder(model.parent)
    root = model.parent.resolve()
    found: dict[str, Path] = {}
    for tensor in _external_tensors(parsed):
        location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        path = _inside(location, f"tensor {tensor.name!r}", folder)
        # the name as the model spells it, without what means nothing (./a, a//b); links keep their own name
        found[Path(os.path.relpath(root / location, root)).as_posix()] = path
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
        for field, value in item.ListFields():
            if field.message_type is not None:
                todo.extend([value] if isinstance(value, Message) else value)


def locate(tensor: TensorProto, size: int, where: str, folder: Folder | None) -> tuple[Path, int]:
    """The file and offset of a tensor's `size` bytes; ModelError when they are not there in full."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = _inside(location, where, folder)
    offset = _number(entries, "offset", 0, where)
    length = _number(entries, "length", size, where)
    if length != size:
        raise ModelError(f"{where} needs {size} bytes, but its entry in {location!r} has length {length}")
    available = path.stat().st_size
    if offset + size > available:
        raise ModelError(
            f"{where} needs bytes {offset} to {offset + size} of {location!r}, which has only {available}: "
            "the file is truncated or belongs to another model"
        )
    return path, offset


def _inside(location: str, where: str, folder: Folder | None) -> Path:
    if not location or "\0" in location:
        raise ModelError(f"{where} keeps its data outside the model but names no file")
    if folder is None:
        raise ModelError(
            f"{where} keeps its data in {location!r}, and a model given as a ModelProto has no folder: "
            "give its path, or load it with onnx.load"
        )
    root = folder.path.resolve()
    path = (root / location).resolve()
    if not path.is_relative_to(root):
        raise ModelError(f"{where} keeps its data in {location!r}, outside the model's folder {root}: refused")
    if not path.is_file():
        raise ModelError(f"{where} keeps its data in {location!r}, which is missing from {root}")
    return path


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ModelError(f"{where} has the {key} {text!r} in its external data, expected a number of bytes")
    return int(text)
