"""External data: where a tensor's bytes lie, checked before anybody maps them.

The file must lie inside the model's folder, also after links are followed: a model must not be able to read
what its user can.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnx import TensorProto

from graphopt.errors import ModelError


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a model file, in which its external data must lie."""

    path: Path


def locate(tensor: TensorProto, size: int, where: str, folder: Folder | None) -> tuple[Path, int]:
    """The file and offset of a tensor's `size` bytes; ModelError when they are not there in full."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
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


def _number(entries: dict[str, str], key: str, default: int, where: str) -> int:
    text = entries.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise ModelError(f"{where} has the {key} {text!r} in its external data, expected a number of bytes")
    return int(text)
