"""What a path holds: a model, or a bundle with a model in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

    from graphopt.bundle import Manifest
    from graphopt.ir import Graph

LARGEST_MODEL = 2**31 - 1
"""Bytes that protobuf reads."""


def read_either(path: Path) -> tuple[Graph, Manifest | None]:
    """The graph of a model, with None; or the optimised graph of a bundle, with its manifest.

    Every byte of a bundle is checked against the manifest before any of it is parsed.  Nothing is copied: whoever looks
    at what a stranger sent has approved of nothing, least of all of so many bytes.
    """
    from graphopt.frontend import read_onnx

    if not path.is_dir():
        return read_onnx(path), None
    from graphopt.bundle import check_files, read_manifest

    manifest = read_manifest(path)
    check_files(path, manifest)
    return read_onnx(parsed(bundled_model(path, manifest), path)), manifest


def bundled_model(bundle: Path, manifest: Manifest) -> bytes:
    """The bytes of a bundle's optimised model, held against the manifest; BundleError where there is none."""
    from graphopt.bundle import read_recorded
    from graphopt.bundle.artifact import MODEL
    from graphopt.errors import BundleError

    content = read_recorded(bundle, manifest, MODEL, LARGEST_MODEL)
    if content is None:
        raise BundleError(f"{bundle} is no bundle of graphopt: it has no file {MODEL!r}")
    return content


def parsed(content: bytes, bundle: Path) -> ModelProto:
    """The model in these bytes; BundleError for what is no ONNX model."""
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    from graphopt.errors import BundleError

    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise BundleError(f"{bundle}: its model.onnx is no ONNX model, or a truncated one") from None
    return model
