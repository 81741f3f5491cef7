"""The source map in the file: which source nodes a node stands for, and which rewrites made it.

Kept as two entries of the node's `metadata_props`, each a JSON list of strings, and only on nodes that a rewrite
touched: a node that nobody touched stands for itself.
"""

from __future__ import annotations

import json
from typing import cast

from graphopt.ir.graph import Node
from graphopt.strict_json import is_deeper

SOURCE = "graphopt.source"
RULES = "graphopt.rules"


def provenance(node: Node) -> dict[str, str]:
    """The entries that say where a node came from; none for a node that no rewrite touched."""
    if not node.rules:
        return {}
    return {SOURCE: _listed(node.source), RULES: _listed(node.rules)}


def restore_provenance(node: Node) -> None:
    """Takes the entries out of a node's metadata and back into its fields; leaves entries of another form alone."""
    if SOURCE not in node.metadata:
        return
    source, rules = _names(node.metadata[SOURCE]), _names(node.metadata.get(RULES))
    if source is None or not rules:
        return
    del node.metadata[SOURCE], node.metadata[RULES]
    node.source, node.rules = source, rules


def _listed(names: tuple[str, ...]) -> str:
    return json.dumps(names, ensure_ascii=False, separators=(",", ":"))


def _names(text: str | None) -> tuple[str, ...] | None:
    if is_deeper((text or "").encode("utf-8", "surrogatepass"), 1):
        return None
    try:
        names = json.loads(text or "")
    except ValueError:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast("list[object]", names)):
        return None
    return tuple(cast("list[str]", names))
