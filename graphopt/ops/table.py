"""One table of facts per operator, looked up by domain, name and opset version.

Three things are known of an operator, each registered on its own by the family files beside this one:

* its *facts*: purity and the like (`facts.py`);
* its *meaning*: what it computes, on numpy arrays, without onnx (`meaning/`);
* its *shape rule*: the types of its outputs from the types of its inputs (`shape/`).

This package imports neither onnx nor numba: the runtime uses meanings and shape rules while it binds a request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from graphopt.ir.types import Type

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
    return _register(_shape_rules, ops, domain)


def meaning_of(op: str, domain: str = "") -> Meaning | None:
    """Our meaning of an operator; None when there is none (then onnx's reference is asked, see `check.oracle`)."""
    import_module("graphopt.ops.meaning")  # registers all families; here, so that importing the table stays cheap
    return _meanings.get((_default(domain), op))


def shape_rule_of(op: str, domain: str = "") -> ShapeRule | None:
    """Our shape rule of an operator; None when there is none."""
    import_module("graphopt.ops.shape")
    return _shape_rules.get((_default(domain), op))


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
