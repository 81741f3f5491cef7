"""What a path holds: a model, or a bundle with a model in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphopt.bundle import Manifest
    from graphopt.ir import Graph


def read_either(path: Path) -> tuple[Graph, Manifest | None]:
    """The graph of a model, with None; or the optimised graph of a bundle, with its manifest.

    Every byte of a bundle is checked against the manifest before any of it is parsed.
    """
    from graphopt.frontend import read_onnx

    if not path.is_dir():
        return read_onnx(path), None
    from graphopt.bundle import open_verified

    with open_verified(path) as verified:
        return read_onnx(verified.folder / "model.onnx"), verified.manifest
