"""fuse-conv-batchnorm: what scales and shifts the channels of a convolution goes into its weight and bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from graphopt.ir import Constant, DType, Node, Value, size_of
from graphopt.passes.channel_affine import Affine, affine_of
from graphopt.rewrite.exactness import Exactness
from graphopt.rewrite.match import has_one_use, produced_by
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined, Rule
from graphopt.rewrite.run import RulePass

_SHARED_WEIGHT_LIMIT = 4096
"""Bytes of a shared weight that may be written out once more to save an operator."""


@dataclass(frozen=True, slots=True)
class FuseConvAffine(Rule):
    """f(Conv(x, W, b)) → Conv(x, W·s, b·s + t), where f(y) = y·s + t with constants s, t for each output channel.

    f is BatchNormalization at inference, or Mul, Div, Add, Sub with a constant per channel ([M, 1, 1] or one number);
    Conv is Conv or ConvTranspose, grouped or not, with a bias or without.

    Not where the convolution's result is used elsewhere or returned; its weight or bias is not constant; the constant
    lies along another axis ([M] on the last one) or widens the result; BatchNormalization is training; var + epsilon
    is not positive; a factor is 0 or the new weight not finite (a NaN would vanish or appear); a large weight is
    shared.
    """

    name: ClassVar[str] = "fuse-conv-affine"
    exactness: ClassVar[Exactness] = Exactness.REASSOCIATE
    ops: ClassVar[frozenset[str] | None] = frozenset({"BatchNormalization", "Mul", "Div", "Add", "Sub"})

    def rewrite(self, node: Node, rewriter: Rewriter) -> Declined | None:
        graph = rewriter.graph
        outputs = graph.outputs_of(node)
        for slot in (0, 1) if node.op in ("Mul", "Add") else (0,):
            product = graph.inputs_of(node)[slot]
            conv = produced_by(graph, product, "Conv", "ConvTranspose")
            if conv is None or product is None or outputs[0] is None:
                continue
            weight = rewriter.constant_of(graph.inputs_of(conv)[1])
            if weight is None:
                return Declined("the weight of the convolution is not constant")
            affine = affine_of(node, slot, rewriter, channels_of(conv, weight), len(weight.shape))
            if not isinstance(affine, Affine):
                return affine
            if not has_one_use(graph, product):
                return Declined(f"{product} is used elsewhere")
            return self._fuse(rewriter, conv, outputs[0], weight, affine)
        return None

    @staticmethod
    def _fuse(rewriter: Rewriter, conv: Node, output: Value, weight: Constant, affine: Affine) -> Declined | None:
        x, old, *rest = rewriter.graph.inputs_of(conv)
        bias = rest[0] if rest else None
        held = rewriter.constant_of(bias)
        if bias is not None and held is None:
            return Declined("the bias of the convolution is not constant")
        scaled = affine.scale is not None
        if affine.scale is not None and not affine.scale.all():
            return Declined("a factor is 0: where the convolution overflows, infinity times 0 is NaN")
        if (
            scaled
            and old is not None
            and not has_one_use(rewriter.graph, old)
            and size_of(weight) > _SHARED_WEIGHT_LIMIT
        ):
            return Declined("its weight is shared")
        dtype = weight.dtype.numpy
        wide = np.result_type(np.float64, np.float64)
        shift = np.zeros(len(affine.shift), wide) if held is None else held.array().astype(wide)
        with np.errstate(all="ignore"):
            new_bias = (shift * (1.0 if affine.scale is None else affine.scale) + affine.shift).astype(dtype)
            new_weight = weight.array() if affine.scale is None else scale_channels(conv, weight, affine.scale)
        if not (_finite(new_weight, weight.dtype) and _finite(new_bias, weight.dtype)):
            return Declined("the fused weight or bias is not finite")
        operands = [
            x,
            rewriter.constant(new_weight, f"{old.name}_fused" if old else "weight") if scaled else old,
            rewriter.constant(new_bias, f"{bias.name}_fused" if bias else "bias"),
        ]
        (fused,) = rewriter.node(conv.op, operands, like=conv, attributes=conv.attributes, types=[output.type])
        rewriter.replace(output, fused)
        return None


@dataclass(frozen=True, slots=True)
class FuseConvBatchNorm(RulePass):
    """Fuses per-channel scales and shifts after a convolution into it, one after the other."""

    name: ClassVar[str] = "fuse-conv-batchnorm"
    after: ClassVar[tuple[str, ...]] = ("fold-constants",)
    exactness: ClassVar[Exactness] = Exactness.REASSOCIATE

    def rules(self) -> Sequence[Rule]:
        return (FuseConvAffine(),)


def channels_of(conv: Node, weight: Constant) -> int:
    """The number of output channels of a Conv ([M, C/g, …]) or ConvTranspose ([C, M/g, …])."""
    return weight.shape[0] if conv.op == "Conv" else weight.shape[1] * int(conv.get("group", 1))


def scale_channels(conv: Node, weight: Constant, scale: np.ndarray) -> np.ndarray:
    """The weight with each output channel scaled, computed in float64 and rounded once."""
    elements = weight.array()
    if conv.op == "Conv":
        factor = scale.reshape(-1, *[1] * (elements.ndim - 1))
        return (elements.astype(np.float64) * factor).astype(elements.dtype)
    groups = int(conv.get("group", 1))
    grouped = elements.reshape(groups, elements.shape[0] // groups, *elements.shape[1:]).astype(np.float64)
    factor = scale.reshape(groups, 1, -1, *[1] * (elements.ndim - 2))
    return (grouped * factor).astype(elements.dtype).reshape(elements.shape)


def _finite(elements: np.ndarray, dtype: DType) -> bool:
    return bool(np.isfinite(elements.astype(np.float32) if dtype is DType.BFLOAT16 else elements).all())
