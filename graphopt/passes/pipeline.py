"""The pipelines: plain lists of passes, each with the reason for its place."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.errors import GraphoptError
from graphopt.passes.canonicalize import Canonicalize
from graphopt.passes.eliminate_dead_nodes import EliminateDeadNodes
from graphopt.passes.fold_constants import DEFAULT_BUDGET, FoldConstants
from graphopt.passes.fuse_conv_batchnorm import FuseConvBatchNorm
from graphopt.passes.fuse_elementwise import FuseElementwise
from graphopt.passes.fuse_matmul_add import FuseMatMulAddPass
from graphopt.passes.merge_common_subexpressions import MergeCommonSubexpressions
from graphopt.passes.merge_consecutive import MergeConsecutive
from graphopt.passes.remove_identities import RemoveIdentities
from graphopt.passes.split_batchnorm import SplitBatchNormalization
from graphopt.rewrite.run import Pass


def optimization_passes(*, fold_budget: int = DEFAULT_BUDGET, keep_quantized: bool = True) -> list[Pass]:
    """The passes of `optimize`: ONNX in, ONNX out."""
    return [
        EliminateDeadNodes(),  # first, so that nothing else spends time on the dead
        RemoveIdentities(),  # an Identity or Dropout between two operators hides every pattern
        FoldConstants(fold_budget, keep_quantized),  # weights behind Cast, Reshape or Transpose become constants
        Canonicalize(),  # after folding: which operand is constant is known now
        RemoveIdentities(),  # folding made operands constant: pads of 0, shapes that stay, factors of 1
        MergeConsecutive(),  # after folding, because shapes are constants now
        MergeCommonSubexpressions(),  # after canonicalize, which brings equal computations into one form
        FuseConvBatchNorm(),  # after merging, so that a convolution done twice is one use and not two
        FuseMatMulAddPass(),  # after the convolutions took the additions that are theirs
        RemoveIdentities(),  # fusing may leave factors of 1 behind
        EliminateDeadNodes(),  # last: whatever lost its users, constants above all
    ]


def lowering_passes() -> list[Pass]:
    """The passes of `compile` after those of `optimize`: what comes out is for the kernels, not for other tools."""
    return [
        SplitBatchNormalization(),  # a scale and a shift can join their neighbours, a normalisation cannot
        FuseElementwise(),  # last of all, because no rule looks into the operators it makes
        EliminateDeadNodes(),  # constants that moved into bodies
    ]


def check_order(passes: Sequence[Pass]) -> None:
    """GraphoptError when a pass stands before one that it must follow, where the pipeline has that one."""
    names = [step.name for step in passes]
    for place, step in enumerate(passes):
        for earlier in step.after:
            if earlier in names and names.index(earlier) > place:
                raise GraphoptError(f"{step.name} must stand after {earlier} in a pipeline")


def known_names() -> frozenset[str]:
    """The names of all passes, for `skip`."""
    return frozenset(step.name for step in (*optimization_passes(), *lowering_passes()))
