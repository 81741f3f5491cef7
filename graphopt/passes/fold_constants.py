"""fold-constants: what does not depend on the inputs is computed now, within a budget of bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from graphopt.check.call import run_call
from graphopt.check.foresee import foresee, may_never_end
from graphopt.errors import GraphoptError
from graphopt.ir import Constant, Dense, DType, Fill, Node, Value, size_of
from graphopt.ops.call import call_of, elements
from graphopt.ops.facts import facts_of, is_deterministic
from graphopt.passes.fold_control_flow import InlineIf, SkipLoop
from graphopt.passes.fold_shapes import FoldShape, FoldShapeOperand
from graphopt.passes.known_elements import KnownElements
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import dtype_of, has_one_use, tensor_type, uniform
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule, operators
from graphopt.rewrite.run import RulePass

DEFAULT_BUDGET = 1 << 22
"""Bytes by which folding may grow a model in total (4 MiB)."""

_MOST_BYTES, _MOST_OPERATIONS = 1 << 30, 10_000_000_000
"""What computing one constant may take, in memory (where its operands take less) and in time."""

_SMALL = 4096
"""Bytes below which quantised constants are folded like any other: scales and zero points, not weights."""

_UNBOUNDED = operators(
    "AffineGrid BlackmanWindow CenterCropPad Col2Im ConstantOfShape ConvTranspose DFT Expand EyeLike HammingWindow"
    " HannWindow MaxUnpool MelWeightMatrix OneHot Pad Range Resize RoiAlign STFT SplitToSequence Tile Upsample"
)
"""Operators whose result can be far larger than their operands: its size must be known before they are run."""


@dataclass(frozen=True, slots=True)
class FoldNode(Rule):
    """f(c₁, c₂, …) → c, for constants and a deterministic operator f, by f's own meaning.

    Not where the constants made, less the constants that die, would take the model over the budget; where the result's
    size cannot be told beforehand and may be large; for DequantizeLinear and for casts of quantised weights, unless
    asked (`keep_quantized=False`): a model that is small on purpose stays small; for random and unknown operators; for
    sequences.  What cannot be computed (an index out of range) stays: it stands in a branch that need not be taken,
    or inference would have refused the model.
    """

    budget: int
    keep_quantized: bool
    name: ClassVar[str] = "fold-constants"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        facts = facts_of(node.op, node.domain)
        if facts is None or facts.control_flow:
            return None
        constants = {value: rewriter.constant_of(value) for value in graph.operands_of(node)}
        if any(constant is None for constant in constants.values()):
            return None
        if not is_deterministic(graph, node):
            return Declined(f"{node.op} is random")
        held = [constant for constant in constants.values() if constant is not None]
        if self.keep_quantized and _is_dequantization(node, held):
            return Declined("a quantised constant stays quantised")
        outputs = graph.outputs_of(node)
        reason = self._too_large(rewriter, node, outputs, held)
        if reason is not None:
            return Declined(reason)
        slots = [None if v is None else constants[v] for v in graph.inputs_of(node)]
        try:
            arrays = [None if c is None else elements(c) for c in slots]
            call = call_of(node, arrays, len(outputs), rewriter.opsets)
            ahead = foresee(call)
            most = max(_MOST_BYTES, 16 * sum(map(size_of, held)))
            if ahead.nbytes > most or ahead.operations > _MOST_OPERATIONS or may_never_end(call):
                return Declined(f"computing it takes {ahead.nbytes} bytes and {ahead.operations} operations, or more")
            results = run_call(call)
        except GraphoptError as error:
            return Declined(str(error))
        except MemoryError:
            return Declined("there is not enough memory to compute it")
        return self._put(rewriter, outputs, results)

    def _put(self, rewriter: Rewriter, outputs: Sequence[Value | None], results: Sequence[Any]) -> Declined | None:
        for value, result in zip(outputs, results, strict=False):
            if value is None:
                continue
            if not isinstance(result, (np.ndarray, np.generic)):
                return Declined("its result is not a tensor")
            made = _constant(np.asarray(result), dtype_of(value))
            if made is None:
                return Declined(f"its result is {np.asarray(result).dtype}, not {dtype_of(value)}")
            rewriter.replace(value, rewriter.constant(made, value.name))
        return None

    def _too_large(
        self, rewriter: Rewriter, node: Node, outputs: Sequence[Value | None], held: Sequence[Constant]
    ) -> str | None:
        dying = sum(
            size_of(value.constant)
            for value in rewriter.graph.operands_of(node)
            if value.constant is not None and has_one_use(rewriter.graph, value)
        )
        made = 0
        for value in outputs:
            type = tensor_type(value)
            shape = None if type is None else type.static_shape
            if value is None:
                continue
            if type is None or type.dtype is None or shape is None:
                if node.op in _UNBOUNDED or sum(map(size_of, held)) > _SMALL:
                    return "the size of its result is not known"
                continue
            made += _bytes(shape, type.dtype)
        grown = made - dying
        if grown <= 0 or rewriter.report.grown_bytes + grown <= self.budget:
            return None
        return f"it would grow the model by {grown} bytes, over the budget of {self.budget}"


@dataclass(frozen=True, slots=True)
class FoldConstants(RulePass):
    """Folds constants and known shapes, and control flow whose condition is known."""

    budget: int = DEFAULT_BUDGET
    keep_quantized: bool = True
    name: ClassVar[str] = "fold-constants"
    refining: ClassVar[frozenset[str]] = frozenset({"fold-shape-operand", "inline-if", "skip-loop"})

    def rules(self) -> Sequence[Rule]:
        known = KnownElements()
        fold = FoldNode(self.budget, self.keep_quantized)
        return (fold, FoldShape(known), FoldShapeOperand(known), InlineIf(), SkipLoop())


def _is_dequantization(node: Node, held: Sequence[Constant]) -> bool:
    if node.op == "DequantizeLinear":
        return True
    narrow = held and held[0].dtype.bits <= 8 and held[0].dtype is not DType.BOOL
    return node.op == "Cast" and bool(narrow) and DType(node.get("to")).is_float and size_of(held[0]) > _SMALL


def _bytes(shape: tuple[int, ...], dtype: DType) -> int:
    return size_of(Fill(np.float32(0), shape, dtype))


def _constant(result: np.ndarray, dtype: DType | None) -> Constant | None:
    """The result as a constant, a fill where it is one; None when its type is not what inference says."""
    if dtype is DType.STRING or result.dtype.kind in "USO":
        flat = [item.encode("utf-8", "surrogateescape") if isinstance(item, str) else item for item in result.flat]
        text = np.empty(result.shape, object)
        text.reshape(-1)[:] = flat
        return Dense.of(text, DType.STRING)
    found = DType.of(result.dtype)
    if dtype is not None and dtype != found:
        return None
    dense = Dense.of(result)
    element = uniform(dense) if result.size > 1 else None
    return dense if element is None else Fill(element, tuple(result.shape), found)
