"""remove-identities: operators that give their operand back, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np

from graphopt.ir import DType, Fill, Node, Value
from graphopt.ops.facts import facts_of
from graphopt.passes.remove_neutral_operands import RemoveNeutralOperand
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import dtype_of, integers, rank_of, tensor_type
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule, operators
from graphopt.rewrite.run import RulePass

Equal: TypeAlias = "Value | Declined | None"
"""The operand that the (first) output equals; or why not; or nothing, when the form is not there."""


def _identity(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    return x


def _dropout(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    version = rewriter.version()
    operands = rewriter.graph.inputs_of(node)
    if version < 7 and not node.get("is_test", 0):
        return Declined("before opset 7 a Dropout without is_test is training")
    if version >= 12 and len(operands) > 2 and operands[2] is not None:
        training = rewriter.constant_of(operands[2])
        if training is None:
            return Declined("whether it is training is decided when the model runs")
        if training.array().any():
            return Declined("it is training: what it drops is random")
    outputs = rewriter.graph.outputs_of(node)
    mask = outputs[1] if len(outputs) > 1 else None
    if mask is None or not rewriter.graph.users_of(mask):
        return x
    type = tensor_type(x)
    shape = None if type is None else type.static_shape
    if version < 10 or shape is None:
        return Declined("its mask is used, and what the mask is depends on more than is known")
    rewriter.replace(mask, rewriter.constant(Fill(np.bool_(True), shape, DType.BOOL), mask.name))
    return x


def _cast(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    return x if dtype_of(x) is not None and dtype_of(x) == node.get("to") else None


def _cast_like(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    like = dtype_of(rewriter.graph.inputs_of(node)[1])
    return x if like is not None and like == dtype_of(x) else None


def _transpose(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    rank = rank_of(x)
    permutation = node.get("perm")
    if permutation is None:
        return x if rank is not None and rank <= 1 else None
    return x if list(permutation) == sorted(permutation) else None


def _same_shape(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    before, after = tensor_type(x), tensor_type(rewriter.graph.outputs_of(node)[0])
    if before is None or after is None or before.shape is None or before.dtype is None:
        return None
    return x if before == after else None


def _slice(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    operands = rewriter.graph.inputs_of(node)
    if len(operands) > 4 and operands[4] is not None:
        steps = integers(rewriter.constant_of(operands[4]))
        if steps is None or set(steps) != {1}:
            return None
    return _same_shape(node, x, rewriter)


def _pad(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    operands = rewriter.graph.inputs_of(node)
    by_attribute = rewriter.version() < 11
    pads = node.get("pads") if by_attribute else integers(rewriter.constant_of(operands[1]))
    return x if pads is not None and not any(pads) else None


def _single(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    return x if len(rewriter.graph.inputs_of(node)) == 1 else None


def _split(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    return _same_shape(node, x, rewriter) if len(rewriter.graph.outputs_of(node)) == 1 else None


def _resize(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    if not isinstance(_same_shape(node, x, rewriter), Value):
        return None
    if node.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        return Declined("it crops a region")
    if node.get("mode", "nearest") != "nearest":
        return Declined("between neighbours, zero times an infinite one is NaN")
    return _unit_scales(node, x, rewriter)


def _unit_scales(node: Node, x: Value, rewriter: Rewriter) -> Equal:
    operands = rewriter.graph.inputs_of(node)
    slot = 1 if rewriter.version() < 11 else 2
    scales = rewriter.constant_of(operands[slot]) if len(operands) > slot else None
    if scales is not None and scales.shape != (0,) and not (scales.array() == 1).all():
        return Declined("the shape stays, but its scales are not 1")
    if scales is None and len(operands) > slot and operands[slot] is not None:
        return Declined("its scales are not known")
    return x


_EQUAL: dict[str, Callable[[Node, Value, Rewriter], Equal]] = {
    "Identity": _identity,
    "Dropout": _dropout,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Transpose": _transpose,
    "Reshape": _same_shape,
    "Flatten": _same_shape,
    "Squeeze": _same_shape,
    "Unsqueeze": _same_shape,
    "Expand": _same_shape,
    "Tile": _same_shape,
    "Slice": _slice,
    "Pad": _pad,
    "Concat": _single,
    "Max": _single,
    "Min": _single,
    "Sum": _single,
    "Mean": _single,
    "Split": _split,
    "Resize": _resize,
}


@dataclass(frozen=True, slots=True)
class RemoveNoOp(Rule):
    """f(x, …) → x, where f gives every element of x back, in place.

    | operator | when |
    |---|---|
    | Identity | always |
    | Dropout | at inference; its mask becomes a constant where its shape is a known one |
    | Cast, CastLike | to the type the operand has |
    | Transpose | the permutation is the identity, or the rank at most 1 |
    | Reshape, Flatten, Squeeze, Unsqueeze, Expand, Tile | the shape stays, as numbers or as the same symbols |
    | Slice | the shape stays and every step is 1 (a step of −1 reverses) |
    | Pad | every pad is a constant 0, whatever the mode |
    | Concat, Max, Min, Sum, Mean, Split | with one operand, or into one part |
    | Resize | the shape stays, the mode is nearest, and no region is cropped |
    """

    name: ClassVar[str] = "remove-no-op"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset(_EQUAL)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        operands = rewriter.graph.inputs_of(node)
        outputs = rewriter.graph.outputs_of(node)
        if not operands or operands[0] is None or not outputs or outputs[0] is None:
            return None
        equal = _EQUAL[node.op](node, operands[0], rewriter)
        if isinstance(equal, Value):
            rewriter.replace(outputs[0], equal)
            return None
        return equal


@dataclass(frozen=True, slots=True)
class CancelPair(Rule):
    """f(f(x)) → x for an involution (Not, Neg, BitwiseNot); f(f(x)) → f(x) where f is idempotent (Relu, Abs, Floor…).

    Not for operators with further operands: Clip(Clip(x, 0, 1), 2, 3) is 2, not Clip(x, 0, 1).
    """

    name: ClassVar[str] = "cancel-pair"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = operators("Abs Ceil Floor Relu Round Sign Neg Not BitwiseNot")

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        (operand, *_), (output, *_) = graph.inputs_of(node), graph.outputs_of(node)
        inner = None if operand is None else graph.producer(operand)
        facts = facts_of(node.op, node.domain)
        if operand is None or output is None or inner is None or facts is None:
            return None
        if inner.qualified_op != node.qualified_op:
            return None
        source = graph.inputs_of(inner)[0]
        if facts.involution and source is not None:
            rewriter.replace(output, source)
        elif facts.idempotent:
            rewriter.replace(output, operand)
        return None


@dataclass(frozen=True, slots=True)
class RemoveIdentities(RulePass):
    """Removes what computes nothing; the interface keeps its names, the writer sees to that."""

    name: ClassVar[str] = "remove-identities"

    def rules(self) -> Sequence[Rule]:
        return (RemoveNoOp(), RemoveNeutralOperand(), CancelPair())
