"""Arithmetic with a neutral operand: `x * 1`, `x + (−0)`, `x and true`; a rule of remove-identities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.ir import Node, TensorType, Value
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import tensor_type, uniform
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule, operators


@dataclass(frozen=True, slots=True)
class RemoveNeutralOperand(Rule):
    """f(x, e) → x, where e is a constant of f's neutral element, and e does not widen x's shape.

    | | neutral |
    |---|---|
    | Mul, Div, Pow | 1 (for Mul on either side) |
    | Add | −0 for floats, 0 for integers (on either side) |
    | Sub | +0 for floats, 0 for integers |
    | And, Or, Xor | true, false, false (on either side) |
    | BitShift | 0 |

    Not for floats: `x + 0`, because −0 + 0 is +0, and 1/x tells the two apart; nor `x − (−0)`, for the same reason.
    """

    name: ClassVar[str] = "remove-neutral-operand"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = operators("Add Sub Mul Div Pow And Or Xor BitShift")

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        operands = graph.inputs_of(node)
        (output,) = graph.outputs_of(node)
        if len(operands) != 2 or output is None:
            return None
        sides = (1, 0) if node.op in _EITHER_SIDE else (1,)
        declined: Declined | None = None
        for side in sides:
            x, other = operands[1 - side], operands[side]
            element = uniform(rewriter.constant_of(other))
            if x is None or element is None:
                continue
            verdict = _is_neutral(node.op, element)
            if verdict is True and _keeps_shape(x, other, output):
                rewriter.replace(output, x)
                return None
            declined = declined or (verdict if isinstance(verdict, Declined) else None)
        return declined


_EITHER_SIDE = frozenset({"Add", "Mul", "And", "Or", "Xor"})


def _is_neutral(op: str, element: np.generic) -> bool | Declined:
    value: object = element.item()
    match op:
        case "Mul" | "Div" | "Pow" | "And":
            return value == 1
        case "Add" | "Sub" if isinstance(value, float):
            if value:
                return False
            negative = bool(np.signbit(value))
            if negative == (op == "Add"):
                return True
            return Declined("−0 + 0 is +0: for floats this zero is not neutral")
        case "Add" | "Sub" | "BitShift":
            return isinstance(value, int) and value == 0
        case _:  # Or, Xor
            return value is False


def _keeps_shape(x: Value, other: Value | None, output: Value) -> bool:
    """Whether broadcasting with the operand leaves x's shape and type as they are."""
    before, after, operand = tensor_type(x), tensor_type(output), tensor_type(other)
    if before is None or operand is None or operand.shape is None or operand.dtype != before.dtype:
        return False
    if before.dtype is None or (after is not None and after.dtype not in (None, before.dtype)):
        return False
    if _known_equal(before, after):
        return True
    return not operand.shape or (
        before.rank is not None and len(operand.shape) <= before.rank and all(dim == 1 for dim in operand.shape)
    )


def _known_equal(before: TensorType, after: TensorType | None) -> bool:
    return after is not None and before.shape is not None and before.shape == after.shape
