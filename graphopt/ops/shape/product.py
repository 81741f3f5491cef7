"""Matrix products."""

from __future__ import annotations

from graphopt.ir.dim import Dim
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import (
    Result,
    broadcast,
    broadcast_dim,
    dtype_of,
    one_element,
    refuse,
    same_dim,
    shape_of,
    spreads,
    unknown_shape,
    vector,
    with_rank,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("MatMul")
def matmul(call: Inference) -> Result:
    """numpy.matmul: rows of the first by columns of the second, over broadcast batches."""
    return (TensorType(dtype_of(call, 0), product_shape(call, shape_of(call, 0), shape_of(call, 1))),)


@shape_rule("MatMulInteger")
def matmul_integer(call: Inference) -> Result:
    """As MatMul, accumulated in int32; zero points are one number, or one for each row of A and column of B."""
    _check_rows(call, 0, 2, "a_zero_point")
    _check_columns(call, 1, 3, "b_zero_point")
    return (TensorType(DType.INT32, product_shape(call, shape_of(call, 0), shape_of(call, 1))),)


@shape_rule("QLinearMatMul")
def qlinear_matmul(call: Inference) -> Result:
    """As MatMul of the operands 0 and 3, in the element type of the output's zero point."""
    for slot, name in ((1, "a_scale"), (2, "a_zero_point")):
        _check_rows(call, 0, slot, name)
    for slot, name in ((4, "b_scale"), (5, "b_zero_point")):
        _check_columns(call, 3, slot, name)
    for slot, name in ((6, "y_scale"), (7, "y_zero_point")):
        _check_rows(call, 0, slot, name)
    return (TensorType(dtype_of(call, 7), product_shape(call, shape_of(call, 0), shape_of(call, 3))),)


def _check_rows(call: Inference, data: int, slot: int, name: str) -> None:
    """A scale or zero point of A: one number, one for each row, or [.., rows, 1]."""
    shape, given = shape_of(call, data), shape_of(call, slot)
    if shape is None or given is None or all(dim == 1 for dim in given):
        return
    if len(given) == 1 and len(shape) > 1:
        vector(call, slot, shape[-2], name)
    else:
        spreads(call, slot, (*shape[:-1], 1), name)


def _check_columns(call: Inference, data: int, slot: int, name: str) -> None:
    """A scale or zero point of B: one number, one for each column, or [.., 1, columns]."""
    shape, given = shape_of(call, data), shape_of(call, slot)
    if shape is None or given is None or all(dim == 1 for dim in given):
        return
    spreads(call, slot, (*shape[:-2], 1, shape[-1]) if len(shape) > 1 else (1,), name)


@shape_rule("FusedMatMul", domain="com.microsoft")
def fused_matmul(call: Inference) -> Result:
    """As MatMul, of operands transposed first where the attributes say so."""
    a, b = _turned(call, 0, "A"), _turned(call, 1, "B")
    return (TensorType(dtype_of(call, 0), product_shape(call, a, b)),)


def _turned(call: Inference, slot: int, name: str) -> Shape | None:
    shape = shape_of(call, slot)
    if shape is None:
        return None
    if call.attributes.get(f"transBatch{name}", 0) and len(shape) > 2:
        shape = (*shape[1:-1], shape[0], shape[-1])
    if call.attributes.get(f"trans{name}", 0) and len(shape) > 1:
        shape = (*shape[:-2], shape[-1], shape[-2])
    return shape


@shape_rule("DynamicQuantizeMatMul", domain="com.microsoft")
def dynamic_quantize_matmul(call: Inference) -> Result:
    """As MatMul, in float32; B's scale and zero point are one number or one for each column."""
    return _quantised_product(call, (2, "b_scale"), (3, "b_zero_point"), bias=4)


@shape_rule("MatMulIntegerToFloat", domain="com.microsoft")
def matmul_integer_to_float(call: Inference) -> Result:
    """As MatMul, scaled to float32; B's scale and zero point are one number or one for each column."""
    for slot, name in ((2, "a_scale"), (4, "a_zero_point")):
        one_element(call, slot, name)
    return _quantised_product(call, (3, "b_scale"), (5, "b_zero_point"), bias=6)


def _quantised_product(call: Inference, *per_column: tuple[int, str], bias: int) -> Result:
    b = shape_of(call, 1)
    for slot, name in per_column:
        _check_columns(call, 1, slot, name)
    if b:
        vector(call, bias, b[-1], "bias")
    return (TensorType(DType.FLOAT32, product_shape(call, shape_of(call, 0), b)),)


@shape_rule("Det")
def det(call: Inference) -> Result:
    """One number for each square matrix."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    with_rank(call, shape, 2, "the data")
    same_dim(call, shape[-2], shape[-1], "rows and columns")
    return (TensorType(dtype_of(call, 0), shape[:-2]),)


@shape_rule("Gemm")
def gemm(call: Inference) -> Result:
    """Rows of A (transposed or not) by columns of B (transposed or not)."""
    a, b, c = shape_of(call, 0), shape_of(call, 1), shape_of(call, 2)
    if a is None or b is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 2)),)
    with_rank(call, a, 2, "A", 2)
    with_rank(call, b, 2, "B", 2)
    (m, k) = a[::-1] if call.attributes.get("transA", 0) else a
    (other, n) = b[::-1] if call.attributes.get("transB", 0) else b
    same_dim(call, k, other, "the inner dimensions")
    if c is not None:
        with_rank(call, c, 0, "C", 2)
        for have, want in zip(c[::-1], (n, m), strict=False):
            if isinstance(have, int) and isinstance(want, int) and have not in (1, want):
                refuse(call, f"C has a dimension {have} where the product has {want}")
    return (TensorType(dtype_of(call, 0), (m, n)),)


@shape_rule("Einsum")
def einsum(call: Inference) -> Result:
    """The output's letters, each with the dimension it has in the operands."""
    equation = str(call.attributes["equation"]).replace(" ", "")
    shapes = [shape_of(call, slot) for slot in range(len(call.types))]
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        refuse(call, f"the equation {equation!r} has {len(terms)} terms for {len(shapes)} operands")
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        rank = None if "..." in equation or not arrow else len(right)
        return (TensorType(dtype_of(call, 0), None if rank is None else unknown_shape(call, rank)),)
    dims: dict[str, Dim] = {}
    batches: list[Shape] = []
    for term, shape in zip(terms, known, strict=True):
        batches.append(_bind_letters(call, term, shape, dims))
    if not arrow:
        counts = {letter: left.count(letter) for letter in dims}
        right = ("..." if "..." in left else "") + "".join(sorted(x for x, count in counts.items() if count == 1))
    ellipsis = broadcast(call, batches) or ()
    before, dots, after = right.partition("...")
    missing = (set(before) | set(after)) - set(dims)
    if missing:
        refuse(call, f"the equation {equation!r} returns {sorted(missing)}, which no operand has")
    middle = ellipsis if dots else ()
    return (TensorType(dtype_of(call, 0), (*(dims[x] for x in before), *middle, *(dims[x] for x in after))),)


def product_shape(call: Inference, a: Shape | None, b: Shape | None) -> Shape | None:
    """The shape of numpy.matmul; None when a rank is unknown."""
    if a is None or b is None:
        return None
    with_rank(call, a, 1, "the first operand")
    with_rank(call, b, 1, "the second operand")
    inner = b[0] if len(b) == 1 else b[-2]
    if a[-1] != inner:
        same_dim(call, a[-1], inner, "the inner dimensions")
    if len(a) == 2 and len(b) == 2:
        return (a[0], b[1])
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    batch = broadcast(call, [a[:-2], b[:-2]])
    return None if batch is None else (*batch, *rows, *columns)


def _bind_letters(call: Inference, term: str, shape: Shape, dims: dict[str, Dim]) -> Shape:
    before, dots, after = term.partition("...")
    spread = len(shape) - len(before) - len(after)
    if spread < 0 or (spread and not dots):
        refuse(call, f"the term {term!r} does not fit an operand of {len(shape)} dimensions")
    tail = shape[len(shape) - len(after) :] if after else ()
    for letter, dim in zip(before + after, (*shape[: len(before)], *tail), strict=True):
        known = dims.get(letter)
        dims[letter] = dim if known is None else broadcast_dim(call, known, dim)
    return shape[len(before) : len(before) + spread]
