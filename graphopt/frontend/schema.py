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

_STILL_READ = frozenset({("GroupNormalization", 18)})
"""Deprecated, since its scale and bias changed at opset 21, and read as it was: one number a group."""


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
        return None if domain else _beside().get(op)
    attributes = {name: AttributeKind[str(a.type).rpartition(".")[2]] for name, a in found.attributes.items()}
    return Schema(
        found.since_version,
        found.deprecated and (op, found.since_version) not in _STILL_READ,
        (found.min_input, found.max_input),
        (found.min_output, found.max_output),
        attributes,
        tuple(name for name, a in found.attributes.items() if a.required),
    )


@cache
def _beside() -> Mapping[str, Schema]:
    """What ONNX Runtime has in the standard's domain beside the standard, in any opset.

    Normalisations that it writes into models of opsets without them, and experiments that the standard dropped.
    """
    real, whole, reals = AttributeKind.FLOAT, AttributeKind.INT, AttributeKind.FLOATS
    line = {"axis": whole, "epsilon": real, "stash_type": whole}
    scaled = {"alpha": real, "beta": real}
    one = (1, 1)
    return {
        "LayerNormalization": Schema(1, False, (2, 3), (1, 3), line, ()),
        "SimplifiedLayerNormalization": Schema(1, False, (2, 2), (1, 2), line, ()),
        "Affine": Schema(1, False, one, one, scaled, ()),
        "ParametricSoftplus": Schema(1, False, one, one, scaled, ()),
        "ScaledTanh": Schema(1, False, one, one, scaled, ()),
        "ThresholdedRelu": Schema(1, False, one, one, {"alpha": real}, ()),
        "ImageScaler": Schema(1, False, one, one, {"scale": real, "bias": reals}, ("bias",)),
        "Crop": Schema(1, False, one, one, {"border": AttributeKind.INTS, "scale": AttributeKind.INTS}, ("border",)),
    }


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
