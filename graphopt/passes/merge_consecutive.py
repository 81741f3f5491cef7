"""merge-consecutive: two moves of elements that are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.ir import DType, Node, TensorType
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import dtype_of, has_one_use, produced_by, tensor_type
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule
from graphopt.rewrite.run import RulePass

_RELAYOUTS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")
"""Operators that keep the elements in their order, and say only how they are cut into dimensions."""


@dataclass(frozen=True, slots=True)
class MergeTransposes(Rule):
    """Transpose(Transpose(x, p), q) → Transpose(x, p∘q)."""

    name: ClassVar[str] = "merge-transposes"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"Transpose"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        inner = produced_by(graph, graph.inputs_of(node)[0], "Transpose")
        if inner is None:
            return None
        first, second = inner.get("perm"), node.get("perm")
        length = len(first or second or ())
        if not length:
            source = tensor_type(graph.inputs_of(inner)[0])
            if source is None or source.rank is None:
                return Declined("neither has a permutation, and the rank is not known")
            length = source.rank
        first, second = (tuple(reversed(range(length))) if p is None else p for p in (first, second))
        (output,) = graph.outputs_of(node)
        permutation = [first[axis] for axis in second]
        if output is None:
            return None
        source = graph.inputs_of(inner)[0]
        (merged,) = rewriter.node("Transpose", [source], attributes={"perm": permutation}, types=[output.type])
        rewriter.replace(output, merged)
        return None


@dataclass(frozen=True, slots=True)
class MergeRelayouts(Rule):
    """g(f(x)) → x or Reshape(x, s), for f and g among Reshape, Flatten, Squeeze, Unsqueeze; s is g's shape.

    To x where x has that shape already, be it in symbols.  Else s must be writable as a constant: at most one of its
    dimensions unknown (written −1), and that not beside a 0, where −1 means nothing.
    """

    name: ClassVar[str] = "merge-relayouts"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset(_RELAYOUTS)

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        inner = produced_by(graph, graph.inputs_of(node)[0], *_RELAYOUTS)
        (output,) = graph.outputs_of(node)
        if inner is None or output is None:
            return None
        source, wanted = graph.inputs_of(inner)[0], tensor_type(output)
        if source is None or wanted is None or wanted.shape is None:
            return Declined("the rank of the result is not known")
        held = tensor_type(source)
        if held is not None and held.shape == wanted.shape:
            rewriter.replace(output, source)
            return None
        target = writable_shape(wanted)
        if target is None:
            return Declined(f"the shape {wanted} cannot be written as a constant")
        if rewriter.version() < 5:
            return Declined("before opset 5 the shape of a Reshape is an attribute")
        shape = rewriter.constant(np.array(target, np.int64), f"{output.name}_shape")
        zeros = {"allowzero": 1} if 0 in target else {}
        if zeros and rewriter.version() < 14:
            return Declined("before opset 14 a constant shape cannot hold a 0")
        (merged,) = rewriter.node("Reshape", [source, shape], attributes=zeros, types=[output.type])
        rewriter.replace(output, merged)
        return None


@dataclass(frozen=True, slots=True)
class MergeCasts(Rule):
    """Cast(Cast(x, a), b) → Cast(x, b), where a holds every value of x's type exactly.

    Not through a narrower type (float → int8 → float drops the fraction, int64 → float32 rounds), nor through text.
    """

    name: ClassVar[str] = "merge-casts"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"Cast"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        inner = produced_by(graph, graph.inputs_of(node)[0], "Cast")
        (output,) = graph.outputs_of(node)
        if inner is None or output is None:
            return None
        source = graph.inputs_of(inner)[0]
        narrow, wide = dtype_of(source), DType(inner.get("to"))
        if narrow is None or not holds_exactly(wide, narrow):
            return Declined(f"{wide} does not hold every {narrow or 'value'} exactly")
        if node.get("to") == DType.BOOL and narrow is not DType.BOOL and wide.is_float != narrow.is_float:
            return Declined("what is true may differ between the types")
        (merged,) = rewriter.node("Cast", [source], attributes=node.attributes, types=[output.type])
        rewriter.replace(output, merged)
        return None


@dataclass(frozen=True, slots=True)
class MergeConcats(Rule):
    """Concat(Concat(a, b), c) → Concat(a, b, c) along one axis, where nobody else uses the inner one."""

    name: ClassVar[str] = "merge-concats"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"Concat"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        (output,) = graph.outputs_of(node)
        operands = graph.inputs_of(node)
        flat = list(operands)
        declined: Declined | None = None
        for operand in operands:
            inner = produced_by(graph, operand, "Concat")
            if inner is None or operand is None:
                continue
            if not _one_axis(inner, node, tensor_type(operand)):
                declined = Declined("they join along different axes")
            elif not has_one_use(graph, operand):
                declined = Declined(f"{operand} is used elsewhere")
            else:
                at = next(i for i, value in enumerate(flat) if value is operand)
                flat[at : at + 1] = graph.inputs_of(inner)
        if len(flat) == len(operands) or output is None:
            return declined
        (merged,) = rewriter.node("Concat", flat, attributes=node.attributes, types=[output.type])
        rewriter.replace(output, merged)
        return None


@dataclass(frozen=True, slots=True)
class MergeConsecutive(RulePass):
    """Merges consecutive transposes, relayouts, widening casts, and concatenations.

    Not Clip of Clip or Relu of Clip: with crossing bounds, and for NaN, two are not one.
    """

    name: ClassVar[str] = "merge-consecutive"
    after: ClassVar[tuple[str, ...]] = ("fold-constants",)

    def rules(self) -> Sequence[Rule]:
        return (MergeTransposes(), MergeRelayouts(), MergeCasts(), MergeConcats())


def writable_shape(type: TensorType) -> tuple[int, ...] | None:
    """The shape as a constant operand of Reshape, with −1 for one symbolic dimension; None when there are more."""
    if type.shape is None:
        return None
    dims = tuple(dim if isinstance(dim, int) else -1 for dim in type.shape)
    unknown = dims.count(-1)
    return dims if unknown == 0 or (unknown == 1 and 0 not in dims) else None


def holds_exactly(wide: DType, narrow: DType) -> bool:
    """Whether every value of the narrow type is a value of the wide one (for numbers and bool)."""
    if DType.STRING in (wide, narrow) or narrow.numpy.kind == "c" or wide.numpy.kind == "c":
        return False
    if narrow is wide:
        return True
    if narrow is DType.BOOL:
        return wide is not DType.BOOL and wide in _EXPLICIT_BITS
    if narrow not in _EXPLICIT_BITS or wide not in _EXPLICIT_BITS:
        return False
    if wide.is_float and narrow.is_float:
        return (narrow, wide) in _WIDER_FLOATS
    if wide.is_float:
        return _EXPLICIT_BITS[narrow] <= _EXPLICIT_BITS[wide] and wide is not DType.FLOAT16
    if narrow.is_float:
        return False
    signed = wide.numpy.kind == "i"
    if narrow.numpy.kind == "i":
        return signed and narrow.bits <= wide.bits
    return narrow.bits < wide.bits or (narrow.bits == wide.bits and not signed)


_EXPLICIT_BITS = {
    DType.INT8: 8, DType.UINT8: 8, DType.INT16: 16, DType.UINT16: 16, DType.INT32: 32, DType.UINT32: 32,
    DType.INT64: 64, DType.UINT64: 64, DType.FLOAT16: 11, DType.BFLOAT16: 8, DType.FLOAT32: 24, DType.FLOAT64: 53,
}  # fmt: skip
"""Bits of an integer; significant bits of a float."""

_WIDER_FLOATS = frozenset(
    {(DType.FLOAT16, DType.FLOAT32), (DType.FLOAT16, DType.FLOAT64), (DType.BFLOAT16, DType.FLOAT32)}
    | {(DType.BFLOAT16, DType.FLOAT64), (DType.FLOAT32, DType.FLOAT64)}
)


def _one_axis(inner: Node, outer: Node, type: TensorType | None) -> bool:
    first, second = inner.get("axis", 1), outer.get("axis", 1)
    if first == second:
        return True
    rank = None if type is None else type.rank
    return rank is not None and first % rank == second % rank
