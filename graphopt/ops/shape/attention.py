"""Attention, on [batch, heads, length, width] or on [batch, length, heads * width]."""

from __future__ import annotations

from graphopt.ir.dim import Dim, floor_divide
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import Result, dtype_of, refuse, shape_of, with_rank
from graphopt.ops.table import Inference, shape_rule


@shape_rule("Attention")
def attention(call: Inference) -> Result:
    """Y, then the keys and values with the past in front, then the products of queries and keys."""
    query, key, value = (shape_of(call, slot) for slot in range(3))
    dtypes = [dtype_of(call, slot) for slot in (0, 1, 2, 0)]
    if query is None or key is None or value is None:
        return tuple([TensorType(dtype) for dtype in dtypes])[: call.outputs]
    with_rank(call, query, 3, "Q", 4)
    q, k, v = (_heads(call, *pair) for pair in ((query, "q_num_heads"), (key, "kv_num_heads"), (value, "kv_num_heads")))
    past = shape_of(call, 4)
    length: Dim | None = k[2]
    if len(call.types) > 4 and call.types[4] is not None:
        length = None if past is None else past[2] + k[2]
    y = (q[0], q[1], q[2], v[3]) if len(query) == 4 else (q[0], q[2], q[1] * v[3])
    if length is None:
        return (TensorType(dtypes[0], y), *(TensorType(dtype) for dtype in dtypes[1 : call.outputs]))
    shapes: list[Shape] = [y, (k[0], k[1], length, k[3]), (v[0], v[1], length, v[3]), (q[0], q[1], q[2], length)]
    return tuple([TensorType(dtype, shape) for dtype, shape in zip(dtypes, shapes, strict=True)])[: call.outputs]


def _heads(call: Inference, shape: Shape, attribute: str) -> tuple[Dim, Dim, Dim, Dim]:
    if len(shape) == 4:
        batch, heads, length, width = shape
        return batch, heads, length, width
    batch, length, width = with_rank(call, shape, 3, "Q, K and V", 4)
    count = call.attributes.get(attribute, 0)
    if count < 1:
        refuse(call, f"operands of three dimensions need the attribute {attribute}")
    return batch, count, length, floor_divide(width, count)
