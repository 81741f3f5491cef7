"""split-batchnorm: a normalisation by known statistics is a scale and a shift, which can join what stands around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.ir import Node
from graphopt.passes.channel_affine import Affine, batchnorm_affine
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import tensor_type
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule
from graphopt.rewrite.run import RulePass


@dataclass(frozen=True, slots=True)
class SplitBatchNorm(Rule):
    """BatchNormalization(x, s, b, m, v) → Add(Mul(x, s/√(v+ε)), b − m·s/√(v+ε)), the constants shaped [C, 1, …, 1].

    Not while training, nor where a statistic is not constant, x's rank is not known, or a factor is not finite.
    """

    name: ClassVar[str] = "split-batchnorm"
    exactness: ClassVar[Exactness] = Exactness.REASSOCIATE
    ops: ClassVar[frozenset[str] | None] = frozenset({"BatchNormalization"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        x, output = graph.inputs_of(node)[0], graph.outputs_of(node)[0]
        type = tensor_type(x)
        if x is None or output is None or type is None or type.rank is None or type.rank < 2 or type.dtype is None:
            return Declined("the rank of its operand is not known")
        affine = batchnorm_affine(node, rewriter)
        if not isinstance(affine, Affine):
            return affine
        shape = (-1, *[1] * (type.rank - 2))
        with np.errstate(over="ignore"):
            scale, shift = (
                array.astype(type.dtype.numpy).reshape(shape)
                for array in (affine.scale if affine.scale is not None else np.ones_like(affine.shift), affine.shift)
            )
        if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
            return Declined("its scale or shift is not finite")
        (scaled,) = rewriter.node("Mul", [x, rewriter.constant(scale, f"{output.name}_scale")], types=[output.type])
        (shifted,) = rewriter.node(
            "Add", [scaled, rewriter.constant(shift, f"{output.name}_shift")], types=[output.type]
        )
        rewriter.replace(output, shifted)
        return None


@dataclass(frozen=True, slots=True)
class SplitBatchNormalization(RulePass):
    """Splits the batch normalisations that no convolution took."""

    name: ClassVar[str] = "split-batchnorm"
    after: ClassVar[tuple[str, ...]] = ("fuse-conv-batchnorm",)
    exactness: ClassVar[Exactness] = Exactness.REASSOCIATE

    def rules(self) -> Sequence[Rule]:
        return (SplitBatchNorm(),)
