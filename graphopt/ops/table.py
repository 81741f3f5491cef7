"""One table of facts per operator, looked up by domain, name and opset version.

Three things are known of an operator, each registered on its own by the family files beside this one:

* its *facts*: purity and the like (`facts.py`);
* its *meaning*: what it computes, on numpy arrays, without onnx (`meaning/`);
* its *shape rule*: the types of its outputs from the types of its inputs (`shape/`).

Other packages register meanings and shape rules of their own domains in modules that they name as entry points
(`ENTRY_POINTS`): see docs/custom-operators.md.

This package imports neither onnx nor numba: the runtime uses meanings and shape rules while it binds a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, TypeAlias, TypeVar

import numpy as np

from graphopt.errors import GraphoptError, MisfitError
from graphopt.ir.dim import Dim
from graphopt.ir.types import TensorType, Type

Key: TypeAlias = tuple[str, str]
"""(domain, operator); the default domain is the empty string."""


@dataclass(frozen=True, slots=True)
class Call:
    """One application of an operator to arrays."""

    op: str
    domain: str
    version: int
    """The opset version of the domain that the model imports."""
    attributes: Mapping[str, Any]
    """Plain values: int, float, str (bytes where they are not UTF-8), ndarray, Graph, tuples of these."""
    inputs: tuple[Any, ...]
    """Arrays (None for an input left out); lists for sequences."""
    outputs: int
    """How many outputs are asked for."""

    def input(self, slot: int) -> Any:
        """The input in a slot, None where it is left out."""
        return self.inputs[slot] if slot < len(self.inputs) else None


@dataclass(frozen=True, slots=True)
class Inference:
    """One application of an operator to types.

    `values[i]` holds what is known of the *elements* of input i: an array of numbers for a constant, an object
    array of `Dim` for a shape computed from symbolic dimensions, None when nothing is known.
    """

    op: str
    domain: str
    version: int
    attributes: Mapping[str, Any]
    types: tuple[Type | None, ...]
    values: tuple[np.ndarray | None, ...]
    outputs: int
    name: str = ""
    """A name unique to the node, from which anonymous dimensions (`?name.axis`) are made."""


Meaning: TypeAlias = Callable[[Call], tuple[Any, ...]]
ShapeRule: TypeAlias = Callable[[Inference], tuple[Type | None, ...]]

_meanings: dict[Key, Meaning] = {}
_shape_rules: dict[Key, ShapeRule] = {}


def meaning(*ops: str, domain: str = "") -> Callable[[Meaning], Meaning]:
    """Register a function as the meaning of the operators named; ValueError when one has a meaning already."""
    return _register(_meanings, ops, domain)


def shape_rule(*ops: str, domain: str = "") -> Callable[[ShapeRule], ShapeRule]:
    """Register a function as the shape rule of the operators named; ValueError when one has a rule already."""

    def add(rule: ShapeRule) -> ShapeRule:
        _register(_shape_rules, ops, domain)(_guarded(rule))
        return rule

    return add


def meaning_of(op: str, domain: str = "") -> Meaning | None:
    """Our meaning of an operator; None when there is none (then onnx's reference is asked, see `check.oracle`)."""
    import_module("graphopt.ops.meaning")  # registers all families; here, so that importing the table stays cheap
    return _found(_meanings, op, domain)


def shape_rule_of(op: str, domain: str = "") -> ShapeRule | None:
    """Our shape rule of an operator; None when there is none."""
    import_module("graphopt.ops.shape")
    return _found(_shape_rules, op, domain)


ENTRY_POINTS = "graphopt.operators"
"""The group of entry points whose modules register operators of other domains than the standard's."""
_STANDARD = ("", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "ai.graphopt")
_Known = TypeVar("_Known")


def _found(table: dict[Key, _Known], op: str, domain: str) -> _Known | None:
    key = (_default(domain), op)
    if key not in table and key[0] not in _STANDARD:
        _load_others()
    return table.get(key)


@cache
def _load_others() -> None:
    """Import what other packages register, once, when an operator is met that nobody here knows."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS):
        try:
            entry.load()
        except Exception as error:
            problem = " ".join(str(error).split()) or type(error).__name__
            raise GraphoptError(
                f"the operators of {entry.value!r} (entry point {entry.name!r} of {ENTRY_POINTS}) cannot be loaded: "
                f"{problem}"
            ) from error


_MOST_BYTES = (1 << 63) - 1
"""Of one tensor: beyond, numpy does not count and would raise an error of its own."""


def _guarded(rule: ShapeRule) -> ShapeRule:
    """The rule, with MisfitError in one sentence of ours for all that it cannot make sense of, or that cannot be."""

    def guarded(call: Inference) -> tuple[Type | None, ...]:
        try:
            types = rule(call)
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            given = ", ".join("nothing" if type is None else str(type) for type in call.types)
            raise MisfitError(call.op, f"it cannot take {given} (opset {call.version})") from error
        for type in types:
            if isinstance(type, TensorType) and type.shape is not None:
                _check_size(call, type.shape, 1 if type.dtype is None else max(type.dtype.bits // 8, 1))
        return types

    return guarded


def _check_size(call: Inference, shape: tuple[Dim, ...], size: int) -> None:
    for dim in shape:
        if isinstance(dim, int):
            if dim < 0:
                raise MisfitError(call.op, f"its output would have the shape [{', '.join(map(str, shape))}]")
            size *= max(dim, 1)  # numpy, too, multiplies the other dimensions of a tensor without elements
    if size > _MOST_BYTES:
        raise MisfitError(call.op, f"its output would have the shape [{', '.join(map(str, shape))}], too large to be")


def _default(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _register(table: dict[Key, Any], ops: tuple[str, ...], domain: str) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        for op in ops:
            if (_default(domain), op) in table:
                raise ValueError(f"{domain or 'ai.onnx'}::{op} is registered twice")
            table[_default(domain), op] = function
        return function

    return add
