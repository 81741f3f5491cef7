"""Whether a node is what its operator's schema allows: known, not deprecated, its arity and attributes right.

Domains that onnx has no schemas for are not judged: their nodes are kept as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import onnx
from onnx import NodeProto

from graphopt.errors import ModelError
from graphopt.ir.attribute import Attribute, AttributeKind

OLDEST_OPSET = 7


@dataclass(frozen=True, slots=True)
class Schema:
    """What an operator's schema at one version allows."""

    since: int
    deprecated: bool
    inputs: tuple[int, int]
    outputs: tuple[int, int]
    attributes: Mapping[str, AttributeKind]
    required: tuple[str, ...]


@cache
def newest_opset(domain: str) -> int | None:
    """The newest version of a domain that the installed onnx knows; None for a domain it does not know."""
    versions = onnx.defs.get_all_schemas_with_history()
    return max((schema.since_version for schema in versions if schema.domain == domain), default=None)


@cache
def schema_of(op: str, domain: str, version: int) -> Schema | None:
    """The schema of an operator at an opset version, None when there is none."""
    try:
        found = onnx.defs.get_schema(op, version, domain)
    except onnx.defs.SchemaError:
        return None
    attributes = {name: AttributeKind[str(a.type).rpartition(".")[2]] for name, a in found.attributes.items()}
    return Schema(
        found.since_version,
        found.deprecated,
        (found.min_input, found.max_input),
        (found.min_output, found.max_output),
        attributes,
        tuple(name for name, a in found.attributes.items() if a.required),
    )


def check_node(node: NodeProto, attributes: Mapping[str, Attribute], opsets: Mapping[str, int], where: str) -> None:
    """ModelError when the node's operator is unknown or deprecated, or its arity or attributes break its schema."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    version = opsets.get(domain)
    if version is None:
        raise ModelError(f"{where}: the model imports no version of the operator set {domain or 'ai.onnx'!r}")
    if newest_opset(domain) is None:
        return
    schema = schema_of(node.op_type, domain, version)
    if schema is None:
        raise ModelError(
            f"{where}: {domain or 'ai.onnx'} has no operator {node.op_type!r} in opset {version}; "
            "an operator of your own needs a domain of its own"
        )
    if schema.deprecated:
        raise ModelError(
            f"{where}: {node.op_type} is deprecated since opset {schema.since}, and the model uses {version}"
        )
    _check_arity(len(node.input), schema.inputs, "inputs", where)
    _check_arity(len(node.output), schema.outputs, "outputs", where)
    for name, attribute in attributes.items():
        kind = schema.attributes.get(name)
        if kind is None:
            raise ModelError(f"{where}: {node.op_type} has no attribute {name!r} in opset {version}")
        if kind is not attribute.kind:
            raise ModelError(f"{where}: attribute {name!r} must be {kind.name}, got {attribute.kind.name}")
    for name in schema.required:
        if name not in attributes:
            raise ModelError(f"{where}: {node.op_type} needs the attribute {name!r}")


def _check_arity(count: int, allowed: tuple[int, int], what: str, where: str) -> None:
    least, most = allowed
    if not least <= count <= most:
        expected = str(least) if least == most else f"{least} to {most}" if most < 2**30 else f"{least} or more"
        raise ModelError(f"{where} has {count} {what}, expected {expected}")
