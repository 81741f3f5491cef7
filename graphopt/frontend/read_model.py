"""`read_onnx`: from a file or a ModelProto to a `Graph`, or to one sentence that says what is wrong."""

from __future__ import annotations

from os import PathLike

import onnx
from onnx import ModelProto

from graphopt.errors import ModelError
from graphopt.frontend.budget import ReadingBudget, check_subgraphs
from graphopt.frontend.external import Folder
from graphopt.frontend.functions import choose_functions
from graphopt.frontend.raise_opset import is_older, raise_opset
from graphopt.frontend.read_graph import GraphReader
from graphopt.frontend.schema import newest_opset
from graphopt.frontend.source import Source, naming
from graphopt.frontend.text import check_text
from graphopt.ir.graph import Graph

_CONSTANTS_ARE_LISTED_BEFORE = 4  # IR version 4 made a listed initializer one that the caller may override


def read_onnx(source: str | PathLike[str] | ModelProto | Source) -> Graph:
    """The graph of a model, given as a path, a `Source`, or a ModelProto (which is not changed, nor looked at later).

    Functions are inlined, Constant nodes become constants, external data must lie inside the model's folder and, where
    it is large, is memory-mapped.  A model of opset 1 to 6 is read as one of opset 7, and the graph's `notes` say so.
    ModelError, a sentence that names the file and the node, for everything that is not a well-formed ONNX model of an
    opset up to the newest that the installed onnx knows.
    """
    if isinstance(source, ModelProto):
        return _read(source, None)
    if not isinstance(source, Source):
        source = Source.read(source, hashed=False)
    try:
        return _read(source.take(), source.folder)
    except ModelError as error:
        raise naming(source.path, error) from error


def _read(model: ModelProto, folder: Folder | None) -> Graph:
    check_subgraphs(model)
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
        functions.opsets,
        functions.inlined,
        folder,
        listed_constants=model.ir_version < _CONSTANTS_ARE_LISTED_BEFORE,
        budget=ReadingBudget(model.ByteSize()),
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
