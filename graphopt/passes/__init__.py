"""The passes, one file each, and the pipelines that order them."""

from graphopt.passes.canonicalize import Canonicalize
from graphopt.passes.eliminate_dead_nodes import EliminateDeadNodes
from graphopt.passes.fold_constants import FoldConstants
from graphopt.passes.fuse_conv_batchnorm import FuseConvBatchNorm
from graphopt.passes.fuse_elementwise import FuseElementwise
from graphopt.passes.fuse_matmul_add import FuseMatMulAddPass
from graphopt.passes.merge_common_subexpressions import MergeCommonSubexpressions
from graphopt.passes.merge_consecutive import MergeConsecutive
from graphopt.passes.pipeline import check_order, known_names, lowering_passes, optimization_passes
from graphopt.passes.remove_identities import RemoveIdentities
from graphopt.passes.split_batchnorm import SplitBatchNormalization

__all__ = [
    "Canonicalize",
    "EliminateDeadNodes",
    "FoldConstants",
    "FuseConvBatchNorm",
    "FuseElementwise",
    "FuseMatMulAddPass",
    "MergeCommonSubexpressions",
    "MergeConsecutive",
    "RemoveIdentities",
    "SplitBatchNormalization",
    "check_order",
    "known_names",
    "lowering_passes",
    "optimization_passes",
]
