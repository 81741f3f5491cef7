"""com.microsoft: products and look-ups with weights of a few bits, packed into bytes and scaled in blocks."""

from __future__ import annotations

from graphopt.ir.dim import floor_divide, product
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import (
    Result,
    axis_in,
    dtype_of,
    refuse,
    same_dim,
    same_shape,
    shape_of,
    vector,
    with_rank,
    within,
)
from graphopt.ops.table import Inference, shape_rule

_DOMAIN = "com.microsoft"


@shape_rule("MatMulNBits", domain=_DOMAIN)
def matmul_nbits(call: Inference) -> Result:
    """[…, K] by the N rows of a packed matrix gives […, N]; K, N, `bits` and `block_size` say how it is packed."""
    attributes, bits = call.attributes, int(call.attributes.get("bits", 4))
    rows, columns, block = (int(attributes[name]) for name in ("N", "K", "block_size"))
    if bits not in (2, 4, 8) or block < 1 or block % (8 // bits) or rows < 1 or columns < 1:
        refuse(call, f"{rows} rows of {columns} numbers of {bits} bits in blocks of {block} cannot be")
    if attributes.get("weight_prepacked", 0):
        refuse(call, "its weights are laid out for a graphics processor (weight_prepacked)")
    blocks = -(-columns // block)
    packed = shape_of(call, 1)
    if packed is not None and 0 not in packed:  # no weights at all: the projection is left out
        _numbers(call, 1, rows * blocks * (block * bits // 8), "B")
        _numbers(call, 2, rows * blocks, "scales")
        zeros = rows * -(-blocks * bits // 8) if dtype_of(call, 3) is DType.UINT8 else rows * blocks
        _numbers(call, 3, zeros, "zero_points")
        _groups(call, columns, blocks)
    vector(call, 5, rows, "bias")
    return _product(call, rows, columns)


def _groups(call: Inference, columns: int, blocks: int) -> None:
    groups = shape_of(call, 4)
    if groups is not None:
        with_rank(call, groups, 1, "g_idx", 1)
        same_dim(call, groups[0], columns, "the numbers of g_idx and K")
        within(call, 4, 0, blocks - 1, "g_idx")


@shape_rule("MatMulBnb4", domain=_DOMAIN)
def matmul_bnb4(call: Inference) -> Result:
    """[…, K] by the N rows of a packed matrix gives […, N]."""
    attributes = call.attributes
    rows, columns, block = (int(attributes[name]) for name in ("N", "K", "block_size"))
    if attributes["quant_type"] not in (0, 1) or block < 1 or rows < 1 or columns < 1:
        refuse(call, f"quant_type {attributes['quant_type']}, N {rows}, K {columns} and block_size {block} cannot be")
    _numbers(call, 1, (rows * columns + 1) // 2, "B")
    _numbers(call, 2, -(-rows * columns // block), "absmax")
    if not attributes.get("transB", 1):
        rows, columns = columns, rows
    return _product(call, rows, columns)


def _product(call: Inference, rows: int, columns: int) -> Result:
    data = shape_of(call, 0)
    if data is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, data, 1, "A")
    same_dim(call, data[-1], columns, "the last dimension of A and K")
    return (TensorType(dtype_of(call, 0), (*data[:-1], rows)),)


@shape_rule("GatherBlockQuantized", domain=_DOMAIN)
def gather_block_quantized(call: Inference) -> Result:
    """As Gather of the numbers that the data stands for, in the element type of the scales."""
    data, indices, scales = shape_of(call, 0), shape_of(call, 1), shape_of(call, 2)
    attributes = call.attributes
    bits, block = int(attributes.get("bits", 4)), int(attributes.get("block_size", 128))
    if data is None or indices is None or bits not in (2, 4, 8) or block < 1:
        return (TensorType(dtype_of(call, 2)),)
    axis = axis_in(call, attributes.get("gather_axis", 0), len(data))
    along = axis_in(call, attributes.get("quantize_axis", 1), len(data))
    in_bytes = dtype_of(call, 0) is DType.UINT8
    whole: Shape = (*data[:-1], data[-1] * (8 // bits)) if in_bytes else data
    if scales is not None:
        wanted = [-floor_divide(-dim, block) if place == along else dim for place, dim in enumerate(whole)]
        same_shape(call, 2, wanted, "scales")
        if in_bytes:
            wanted[-1] = -floor_divide(-wanted[-1] * bits, 8)
        same_shape(call, 3, wanted, "zero_points")
    return (TensorType(dtype_of(call, 2), (*whole[:axis], *indices, *whole[axis + 1 :])),)


def _numbers(call: Inference, slot: int, count: int, name: str) -> None:
    """An operand has so many elements, however they are shaped."""
    shape = shape_of(call, slot)
    if shape is not None:
        same_dim(call, product(shape), count, f"the elements of {name} and what N, K and block_size make")
