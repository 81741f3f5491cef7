"""fuse-matmul-add: a matrix product with what is added to it is one Gemm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from graphopt.ir import DType, Node, TensorType, Value
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import has_one_use, produced_by, tensor_type
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule
from graphopt.rewrite.run import RulePass

_DTYPES = frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64})


@dataclass(frozen=True, slots=True)
class FuseMatMulAdd(Rule):
    """Add(MatMul(a, b), c) → Gemm(a, b, c), and Add(Gemm(a, b), c) → Gemm(a, b, c); c on either side.

    Holds for float matrices: a and b of rank 2.  Not where c widens the product (its dimensions must each be 1 or
    provably the product's own), where the product is used elsewhere, or where the Gemm adds something already.
    """

    name: ClassVar[str] = "fuse-matmul-add"
    exactness: ClassVar[Exactness] = Exactness.REASSOCIATE
    ops: ClassVar[frozenset[str] | None] = frozenset({"Add"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        operands = graph.inputs_of(node)
        (output,) = graph.outputs_of(node)
        declined: Declined | None = None
        for product, addend in (operands, operands[::-1]):
            inner = produced_by(graph, product, "MatMul", "Gemm")
            if inner is None or product is None or addend is None or output is None:
                continue
            reason = self._obstacle(rewriter, inner, product, addend)
            if reason is None:
                a, b = graph.inputs_of(inner)[:2]
                attributes = inner.attributes if inner.op == "Gemm" else {}
                kept = {key: value for key, value in attributes.items() if key != "beta"}
                (fused,) = rewriter.node("Gemm", [a, b, addend], like=inner, attributes=kept, types=[output.type])
                rewriter.replace(output, fused)
                return None
            declined = declined or Declined(reason)
        return declined

    @staticmethod
    def _obstacle(rewriter: Rewriter, inner: Node, product: Value, addend: Value) -> str | None:
        graph = rewriter.graph
        operands = graph.inputs_of(inner)
        made, added = tensor_type(product), tensor_type(addend)
        if inner.op == "Gemm" and len(operands) > 2 and operands[2] is not None:
            return "the Gemm adds something already"
        if any((type := tensor_type(value)) is None or type.rank != 2 for value in operands[:2]):
            return "its operands are not known to be matrices"
        if made is None or made.dtype not in _DTYPES:
            return "it is not a product of floats"
        if not has_one_use(graph, product):
            return f"{product} is used elsewhere"
        if rewriter.version() < 7:
            return "before opset 7 a Gemm does not broadcast by itself"
        return None if fits_into(added, made) else f"what is added ({added}) may widen the product ({made})"


@dataclass(frozen=True, slots=True)
class MoveTransposeIntoGemm(Rule):
    """Gemm(Transpose(a), b, …) → Gemm(a, b, …) with transA flipped; likewise b, transB.

    Holds for the transposition of a matrix (rank 2); the Transpose stays where others use it.
    """

    name: ClassVar[str] = "move-transpose-into-gemm"
    exactness: ClassVar[Exactness] = Exactness.EXACT
    ops: ClassVar[frozenset[str] | None] = frozenset({"Gemm"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        operands = list(graph.inputs_of(node))
        (output,) = graph.outputs_of(node)
        attributes: dict[str, object] = dict(node.attributes)
        moved = False
        for slot, flag in ((0, "transA"), (1, "transB")):
            transpose = produced_by(graph, operands[slot], "Transpose")
            if transpose is None or list(transpose.get("perm", (1, 0))) != [1, 0]:
                continue
            operands[slot] = graph.inputs_of(transpose)[0]
            attributes[flag] = 0 if node.get(flag, 0) else 1
            moved = True
        if moved and output is not None:
            (made,) = rewriter.node("Gemm", operands, attributes=attributes, types=[output.type])
            rewriter.replace(output, made)
        return None


@dataclass(frozen=True, slots=True)
class FuseMatMulAddPass(RulePass):
    """Fuses matrix products with bias, and moves transpositions of matrices into them."""

    name: ClassVar[str] = "fuse-matmul-add"
    exactness: ClassVar[Exactness] = Exactness.EXACT

    def rules(self) -> Sequence[Rule]:
        return (FuseMatMulAdd(), MoveTransposeIntoGemm())


def fits_into(added: TensorType | None, product: TensorType) -> bool:
    """Whether the addend broadcasts into the product's shape without widening it, provably."""
    if added is None or added.shape is None or product.shape is None or len(added.shape) > len(product.shape):
        return False
    tail = product.shape[len(product.shape) - len(added.shape) :]
    return all(a == 1 or a == b for a, b in zip(added.shape, tail, strict=True))
