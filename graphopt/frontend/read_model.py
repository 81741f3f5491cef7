"""`read_onnx`: from a file or a ModelProto to a `Graph`, or to one sentence that says what is wrong."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto

from graphopt.errors import ModelError
from graphopt.frontend.external import Folder
from graphopt.frontend.functions import choose_functions
from graphopt.frontend.raise_opset import is_older, raise_opset
from graphopt.frontend.read_graph import GraphReader
from graphopt.frontend.schema import newest_opset
from graphopt.frontend.text import check_text
from graphopt.ir.graph import Graph

_PROTOBUF_LIMIT = 1 << 31  # bytes of one message
_CONSTANTS_ARE_LISTED_BEFORE = 4  # IR version 4 made a listed initializer one that the caller may override


def read_onnx(source: str | PathLike[str] | ModelProto) -> Graph:
    """The graph of a model, given as a path or as a ModelProto (which is not changed, nor looked at later).

    Functions are inlined, Constant nodes become constants, external data is memory-mapped and must lie inside
    the model's folder.  A model of opset 1 to 6 is read as one of opset 7, and the graph's `notes` say so.  ModelError,
    a sentence that names the file and the node, for everything that is not a well-formed ONNX model of an opset up to
    the newest that the installed onnx knows.
    """
    if isinstance(source, ModelProto):
        return _read(source, None)
    path = Path(fspath(source))
    try:
        return _read(_parse(path), Folder(path.parent))
    except ModelError as error:
        if str(path) in str(error):
            raise
        raise ModelError(f"{path}: {error}") from error


def _parse(path: Path) -> ModelProto:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        if len(data) >= _PROTOBUF_LIMIT:
            raise ModelError(
                f"{path}: has {len(data)} bytes, and protobuf reads less than {_PROTOBUF_LIMIT}: "
                "save it with external data"
            ) from None
        raise ModelError(f"{path}: not an ONNX model, or a truncated one") from None
    return model


def _read(model: ModelProto, folder: Folder | None) -> Graph:
    check_text(model)
    if not model.HasField("graph") or model.ir_version < 1:
        raise ModelError("not an ONNX model: it has no graph or no IR version")
    if model.ir_version > onnx.IR_VERSION:
        raise ModelError(
            f"the model's IR version {model.ir_version} is newer than the {onnx.IR_VERSION} that the installed onnx "
            f"{onnx.__version__} knows; a newer onnx may read it"
        )
    notes: tuple[str, ...] = ()
    if is_older(model):
        model, note = raise_opset(model)
        notes = (note,)
    functions = choose_functions(model, _opsets(model))
    reader = GraphReader(
        functions.opsets, functions.inlined, folder, listed_constants=model.ir_version < _CONSTANTS_ARE_LISTED_BEFORE
    )
    graph = reader.read(model.graph).graph
    graph.header = _header(model, functions.kept)
    graph.notes = notes
    return graph


def _opsets(model: ModelProto) -> dict[str, int]:
    opsets: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if opsets.setdefault(domain, entry.version) != entry.version:
            raise ModelError(f"the model imports two versions of the operator set {domain or 'ai.onnx'!r}")
        if not 0 < entry.version < 2**31:
            raise ModelError(f"the model imports version {entry.version} of {domain or 'ai.onnx'!r}, which cannot be")
        newest = newest_opset(domain)
        if newest is not None and entry.version > newest:
            raise ModelError(
                f"the model uses opset {entry.version} of {domain or 'ai.onnx'}, newer than the {newest} that the "
                f"installed onnx {onnx.__version__} knows; a newer onnx may read it"
            )
    return opsets


def _header(model: ModelProto, kept: list[onnx.FunctionProto]) -> bytes:
    header = ModelProto()
    for field, value in model.ListFields():
        match field.name:
            case "graph" | "functions" | "opset_import":
                continue
            case "metadata_props" | "training_info" | "configuration":
                getattr(header, field.name).extend(value)
            case _:
                setattr(header, field.name, value)
    header.functions.extend(kept)
    return header.SerializeToString(deterministic=True)
