"""Recognises operators that scale and shift each channel by constants: y·s + t, one s and t a channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphopt.ir import DType, Node
from graphopt.rewrite.rewriter import Rewriter
from graphopt.rewrite.rule import Declined

_EPSILON = float(np.float32(1e-5))
"""Where the attribute is left out: attributes are float32, and so are their defaults, in a float64 model too."""
_DTYPES = frozenset({DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32, DType.FLOAT64})


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """`y·scale + shift` along axis 1, in float64; `scale` None where it is 1."""

    scale: np.ndarray | None
    shift: np.ndarray


def affine_of(node: Node, slot: int, rewriter: Rewriter, channels: int, rank: int) -> Affine | Declined:
    """The scale and shift that the node applies to its operand in `slot`, of that rank and channels on axis 1."""
    if node.op == "BatchNormalization":
        return batchnorm_affine(node, rewriter, channels)
    operand = rewriter.constant_of(rewriter.graph.inputs_of(node)[1 - slot])
    if operand is None:
        return Declined(f"the other operand of {node.op} is not constant")
    if operand.dtype not in _DTYPES:
        return Declined(f"{operand.dtype} is not a float")
    if not _is_per_channel(operand.shape, channels, rank):
        return Declined(f"the constant {list(operand.shape)} is not per-channel")
    values = np.broadcast_to(operand.array().reshape(-1).astype(np.float64), (channels,))
    match node.op:
        case "Mul":
            return Affine(values, np.zeros(channels))
        case "Div" if (values == 0).any():
            return Declined("it divides by zero")
        case "Div":
            return Affine(1.0 / values, np.zeros(channels))
        case "Add":
            return Affine(None, values)
        case _:
            return Affine(None, -values)


def batchnorm_affine(node: Node, rewriter: Rewriter, channels: int | None = None) -> Affine | Declined:
    """The scale and shift of a BatchNormalization at inference."""
    graph = rewriter.graph
    if node.get("training_mode", 0) or sum(value is not None for value in graph.outputs_of(node)) > 1:
        return Declined("it is training: its statistics come from the batch")
    if rewriter.version() < 9 and not node.get("spatial", 1):
        return Declined("it normalises each position on its own (spatial=0)")
    if rewriter.version() < 7 and not node.get("is_test", 0):
        return Declined("before opset 7 a BatchNormalization without is_test is training")
    constants = [rewriter.constant_of(value) for value in graph.inputs_of(node)[1:5]]
    arrays = [constant.array().astype(np.float64) for constant in constants if constant is not None]
    if len(arrays) != 4:
        return Declined("its scale, bias, mean and variance are not all constant")
    scale, shift, mean, variance = arrays
    if any(array.shape != (channels or len(scale),) for array in arrays):
        return Declined("its parameters do not fit the channels")
    spread = variance + float(node.get("epsilon", _EPSILON))
    if not (spread > 0).all():
        return Declined("its variance plus epsilon is not positive everywhere")
    factor = scale / np.sqrt(spread)
    return Affine(factor, shift - mean * factor)


def _is_per_channel(shape: tuple[int, ...], channels: int, rank: int) -> bool:
    """Whether a constant of this shape broadcasts along axis 1 of the rank alone, without widening anything."""
    if len(shape) > rank:
        return False
    full = (1,) * (rank - len(shape)) + tuple(shape)
    return all(dim == 1 or (axis == 1 and dim == channels) for axis, dim in enumerate(full))
