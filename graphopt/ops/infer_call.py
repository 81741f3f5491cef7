"""`infer_call`: the types of one application, quickly; what inference and binding share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt.ir.types import Type
from graphopt.ops.table import Inference, ShapeRule, shape_rule_of


def infer_call(
    op: str,
    domain: str,
    version: int,
    attributes: Mapping[str, Any],
    types: Sequence[Type | None],
    values: Sequence[np.ndarray | None] = (),
    outputs: int = 1,
    name: str = "",
) -> tuple[Type | None, ...] | None:
    """The types of an application's outputs, by our shape rule; None when the operator has no rule of ours.

    `attributes` are plain values as in `Call`; `types` hold None for an operand left out; `values` what is known
    of their elements.  With numbers for all dims, and values where the operator's shape depends on them, the
    result is all numbers.  MisfitError when the application breaks its operator's specification.
    """
    rule = shape_rule_of(op, domain)
    if rule is None:
        return None
    known = tuple(values) or (None,) * len(types)
    return apply_rule(rule, Inference(op, domain, version, attributes, tuple(types), known, outputs, name))


def apply_rule(rule: ShapeRule, call: Inference) -> tuple[Type | None, ...]:
    """What a shape rule gives, one type for each output; MisfitError for an application that it refuses."""
    types = rule(call)
    return types if len(types) == call.outputs else (*types, *(None,) * (call.outputs - len(types)))[: call.outputs]
