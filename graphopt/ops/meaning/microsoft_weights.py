"""com.microsoft: weights of a few bits, packed into bytes and scaled in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.errors import ModelError
from graphopt.ops.meaning.operands import axis_of
from graphopt.ops.meaning.precision import rounded, widened
from graphopt.ops.table import Call, meaning

_DOMAIN = "com.microsoft"

_FP4 = (0.0, 5.208333333e-03, 2 / 3, 1.0, 1 / 3, 0.5, 1 / 6, 0.25)
_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""The numbers that four bits stand for, by Dettmers and others (arXiv 2305.14314)."""
_FOUR_BITS = (np.array((*_FP4, *(-v for v in _FP4)), np.float32), np.array(_NF4, np.float32))


def unpacked(packed: np.ndarray, bits: int, count: int) -> np.ndarray:
    """The first `count` numbers of each row along the last axis; those in the low bits of a byte come first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    parts = (packed.view(np.uint8)[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return parts.reshape(*packed.shape[:-1], packed.shape[-1] * len(shifts))[..., :count]


@meaning("MatMulNBits", domain=_DOMAIN)
def _matmul_nbits(call: Call) -> tuple[np.ndarray]:
    a, bias = call.inputs[0], call.input(5)
    weights = _weights(call)
    y = np.matmul(widened(a), weights.T) + (0.0 if bias is None else widened(bias))
    return (rounded(y, a.dtype),)


def _weights(call: Call) -> np.ndarray:
    """The matrix [N, K] that the packed one stands for."""
    attributes = call.attributes
    rows, columns, block = (int(attributes[name]) for name in ("N", "K", "block_size"))
    bits, blocks = int(attributes.get("bits", 4)), -(-columns // block)
    if call.inputs[1].size == 0:
        return np.zeros((rows, columns))  # a projection that is left out
    packed = call.inputs[1].reshape(rows, blocks * (block * bits // 8))
    numbers = unpacked(packed, bits, columns).astype(np.float64)
    scales = widened(call.inputs[2]).reshape(rows, blocks)
    zeros = _zeros(call.input(3), bits, rows, blocks)
    groups = np.arange(columns) // block if call.input(4) is None else np.asarray(call.inputs[4]).astype(np.int64)
    return (numbers - zeros[:, groups]) * scales[:, groups]


def _zeros(given: Any, bits: int, rows: int, blocks: int) -> np.ndarray:
    if given is None:
        return np.full((rows, blocks), float(1 << (bits - 1)))
    if given.dtype != np.uint8:
        return widened(given).reshape(rows, blocks)
    return unpacked(given.reshape(rows, -1), bits, blocks).astype(np.float64)


@meaning("MatMulBnb4", domain=_DOMAIN)
def _matmul_bnb4(call: Call) -> tuple[np.ndarray]:
    a, packed, largest = call.inputs
    rows, columns = int(call.attributes["N"]), int(call.attributes["K"])
    numbers = np.stack([packed >> 4, packed & 15], axis=-1).reshape(-1)[: rows * columns]  # the high bits come first
    table = _FOUR_BITS[int(call.attributes["quant_type"])]
    scales = np.repeat(widened(largest), int(call.attributes["block_size"]))[: rows * columns]
    weights = (table[numbers].astype(np.float64) * scales).reshape(rows, columns)
    y = np.matmul(widened(a), weights.T if call.attributes.get("transB", 1) else weights)
    return (rounded(y, a.dtype),)


@meaning("GatherBlockQuantized", domain=_DOMAIN)
def _gather_block_quantized(call: Call) -> tuple[np.ndarray]:
    data, indices, scales, zeros = call.inputs[0], call.inputs[1], call.inputs[2], call.input(3)
    attributes = call.attributes
    bits, block = int(attributes.get("bits", 4)), int(attributes.get("block_size", 128))
    axis = axis_of(int(attributes.get("gather_axis", 0)), data.ndim)
    along = axis_of(int(attributes.get("quantize_axis", 1)), data.ndim)
    if data.dtype == np.uint8:
        if along != data.ndim - 1:
            raise ModelError(f"packed bytes are blocked along the last axis, not along axis {along}")
        data = unpacked(data, bits, data.shape[-1] * 8 // bits)
        default = float(1 << (bits - 1))
        zeros = None if zeros is None else unpacked(zeros, bits, scales.shape[-1])
    else:
        default = 0.0
    shift = np.full((), default) if zeros is None else _spread(zeros.astype(np.float64), data.shape, along, block)
    table = (data.astype(np.float64) - shift) * _spread(widened(scales), data.shape, along, block)
    size = data.shape[axis]
    inside = (indices >= -size) & (indices < size)
    taken = np.take(table, np.where(inside, indices, 0), axis=axis)
    mask = inside.reshape(*[1] * axis, *inside.shape, *[1] * (data.ndim - axis - 1))
    return (rounded(np.where(mask, taken, 0.0), scales.dtype),)


def _spread(v: np.ndarray, shape: tuple[int, ...], axis: int, block: int) -> np.ndarray:
    """One number for each element of the axis, from one for each block of it."""
    return np.repeat(v, block, axis)[tuple(slice(0, size) for size in shape)]
