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
    refuse,
    same_dim,
    shape_of,
    unknown_shape,
    with_rank,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("MatMul")
def matmul(call: Inference) -> Result:
    """numpy.matmul: rows of the first by columns of the second, over broadcast batches."""
    return (TensorType(dtype_of(call, 0), product_shape(call, shape_of(call, 0), shape_of(call, 1))),)


@shape_rule("MatMulInteger")
def matmul_integer(call: Inference) -> Result:
    """As MatMul, accumulated in int32."""
    return (TensorType(DType.INT32, product_shape(call, shape_of(call, 0), shape_of(call, 1))),)


@shape_rule("QLinearMatMul")
def qlinear_matmul(call: Inference) -> Result:
    """As MatMul of the operands 0 and 3, in the element type of the output's zero point."""
    return (TensorType(dtype_of(call, 7), product_shape(call, shape_of(call, 0), shape_of(call, 3))),)


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
