"""Image → bytes: canonical JSON (RFC 8785), so that the same program is the same bytes.

No JSON number leaves the integers below 2^53: floats are written as hexadecimal text, larger integers as decimal text.
Object keys are fixed names; what a model names itself (attributes, domains) stands in lists of pairs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from graphopt.ir.dim import Dim, Quotient
from graphopt.ir.types import OpaqueType, OptionalType, SequenceType, TensorType, Type
from graphopt.program.program import Image, KernelCall, Program, Step, Subprogram, ValueInfo, Weight

FORMAT = "graphopt.program"
VERSION = 1
SAFE = 2**53 - 1


def encode(image: Image) -> bytes:
    """The `program` file of a bundle."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "nbytes": image.nbytes,
        "weights": [_weight(weight) for weight in image.weights],
        "targets": [[name, index] for name, index in sorted(image.targets.items())],
        "programs": [_program(program) for program in image.programs],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def plain(value: Any) -> Any:
    """An attribute's value as JSON: a pair of a tag and its text."""
    match value:
        case None:
            return ["none", 0]
        case bool() | int() | np.integer():
            return ["int", int(value) if abs(int(value)) <= SAFE else str(int(value))]
        case float() | np.floating():
            return ["float", float(value).hex()]
        case str():
            return ["text", value]
        case bytes():
            return ["bytes", value.hex()]
        case tuple() | list():
            return ["list", [plain(item) for item in value]]
        case Mapping():
            return ["map", pairs(value)]
        case np.ndarray() if value.dtype.kind != "O":
            little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            return ["array", [little.dtype.name, list(value.shape), little.tobytes().hex()]]
        case np.ndarray():
            return ["strings", [list(value.shape), [plain(item) for item in value.reshape(-1)]]]
        case _:
            raise TypeError(f"{type(value).__name__} cannot stand in a program")


def pairs(table: Mapping[str, Any]) -> list[list[Any]]:
    """A table as sorted pairs of name and value."""
    return [[name, plain(table[name])] for name in sorted(table)]


def _weight(weight: Weight) -> list[Any]:
    return [weight.offset, weight.nbytes, int(weight.dtype), list(weight.shape), int(weight.fill)]


def _program(program: Program) -> dict[str, Any]:
    return {
        "name": program.name,
        "opsets": [[domain, program.opsets[domain]] for domain in sorted(program.opsets)],
        "values": [_value(value) for value in program.values],
        "inputs": list(program.inputs),
        "captures": list(program.captures),
        "defaults": [[value, program.defaults[value]] for value in sorted(program.defaults)],
        "outputs": [[output.name, output.value] for output in program.outputs],
        "steps": [_step(step) for step in program.steps],
    }


def _value(value: ValueInfo) -> list[Any]:
    return [value.name, type_json(value.type), value.weight]


def _step(step: Step) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": step.kind.value,
        "op": step.op,
        "inputs": list(step.inputs),
        "outputs": list(step.outputs),
        "name": step.name,
    }
    if step.domain:
        entry["domain"] = step.domain
    if step.attributes:
        entry["attributes"] = pairs(step.attributes)
    if step.kernel is not None:
        entry["kernel"] = _kernel(step.kernel)
    if step.subprograms:
        entry["subprograms"] = [_subprogram(sub) for sub in step.subprograms]
    if step.absorbed:
        entry["absorbed"] = list(step.absorbed)
    return entry


def _kernel(call: KernelCall) -> dict[str, Any]:
    return {
        "family": call.family,
        "specs": [[spec.family, [[name, value] for name, value in spec.parameters]] for spec in call.specs],
        "attributes": pairs(call.attributes),
        "inputs": list(call.inputs),
    }


def _subprogram(sub: Subprogram) -> dict[str, Any]:
    return {"attribute": sub.attribute, "program": _program(sub.program), "captures": list(sub.captures)}


def type_json(type: Type | None) -> Any:
    """A type as JSON; null when nothing is known."""
    match type:
        case None:
            return None
        case TensorType():
            shape = None if type.shape is None else [dim_json(dim) for dim in type.shape]
            return ["tensor", None if type.dtype is None else int(type.dtype), shape]
        case SequenceType():
            return ["sequence", type_json(type.element)]
        case OptionalType():
            return ["optional", type_json(type.element)]
        case OpaqueType():
            return ["opaque", type.proto.hex()]


def dim_json(dim: Dim) -> Any:
    """A dimension: a number, or the list of its terms `[coefficient, [atoms]]`; an atom is a name or a pair of dims."""
    if isinstance(dim, int):
        return dim
    return [[coefficient, [_atom(atom) for atom in monomial]] for monomial, coefficient in dim.terms]


def _atom(atom: Any) -> Any:
    if isinstance(atom, Quotient):
        return [dim_json(atom.numerator), dim_json(atom.denominator)]
    return atom.name
