"""Steps that move elements: transposes, reshapes, cuts, joins, and shapes computed from shapes."""

from __future__ import annotations

from hypothesis import strategies as st

from graphopt.ir.dim import product
from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.testing.build import Builder, dtype_of, fixed, shape_of


def transpose(b: Builder) -> None:
    """A transpose, and perhaps a second one that undoes it or not."""
    x = b.pick(lambda v: len(shape_of(v)) > 1)
    if x is None:
        return
    for _ in range(b.draw(st.sampled_from((1, 2)))):
        order = b.draw(st.permutations(range(len(shape_of(x)))))
        x = b.add("Transpose", [x], dtype_of(x), [shape_of(x)[i] for i in order], {"perm": list(order)})


def reshape(b: Builder) -> None:
    """Flatten, a merge of the last two axes, an axis of 1 put in or taken out."""
    x = b.pick()
    if x is None:
        return
    shape, dtype = shape_of(x), dtype_of(x)
    kind = b.draw(st.sampled_from(("unsqueeze", "squeeze", "flatten", "merge", "same")))
    if kind == "squeeze" and 1 in shape:
        axis = shape.index(1)
        b.add("Squeeze", [x, b.indices([axis])], dtype, [*shape[:axis], *shape[axis + 1 :]])
    elif kind == "flatten" and shape:
        b.add("Flatten", [x], dtype, [shape[0], product(shape[1:])], {"axis": 1})
    elif kind == "merge" and len(shape) > 1 and 0 not in shape:
        copied = [0] * (len(shape) - 2)
        b.add("Reshape", [x, b.indices([*copied, -1])], dtype, [*shape[:-2], product(shape[-2:])])
    elif kind == "same" and (sizes := fixed(x)) is not None and 0 not in sizes:
        b.add("Reshape", [x, b.indices(sizes)], dtype, shape)
    elif len(shape) < 5:
        axis = b.draw(st.integers(0, len(shape)))
        b.add("Unsqueeze", [x, b.indices([axis])], dtype, [*shape[:axis], 1, *shape[axis:]])


def cut(b: Builder) -> None:
    """A slice, a gather or a split along an axis whose size is a number."""
    x = b.pick(lambda v: any(isinstance(dim, int) and dim > 0 for dim in shape_of(v)))
    if x is None:
        return
    shape, dtype = list(shape_of(x)), dtype_of(x)
    axis = b.draw(st.sampled_from([i for i, dim in enumerate(shape) if isinstance(dim, int) and dim > 0]))
    size = shape[axis]
    assert isinstance(size, int)
    kind = b.draw(st.sampled_from(("slice", "gather", "split")))
    if kind == "split" and size > 1:
        first = b.draw(st.integers(1, size - 1))
        parts = [first, size - first]
        values = b.graph.add_node("Split", [x, b.indices(parts)], 2, {"axis": axis})
        for value, part in zip(values, parts, strict=True):
            shape[axis] = part
            value.type = TensorType(dtype, tuple(shape))
            b.pool.append(value)
        if b.draw(st.booleans()):
            b.add("Concat", list(values), dtype, shape_of(x), {"axis": axis})
    elif kind == "gather":
        index = b.draw(st.integers(-size, size - 1))
        b.add("Gather", [x, b.constant(index, DType.INT64)], dtype, shape[:axis] + shape[axis + 1 :], {"axis": axis})
    else:
        start, step = b.draw(st.integers(0, size - 1)), b.draw(st.sampled_from((1, 2, -1)))
        end = size if step > 0 else -size - 1
        shape[axis] = len(range(*slice(start, end, step).indices(size)))
        operands = [b.indices([v]) for v in (start, end, axis, step)]
        b.add("Slice", [x, *operands], dtype, shape)


def join(b: Builder) -> None:
    """Two values of one type, or one twice, one after the other."""
    x = b.pick(lambda v: len(shape_of(v)) > 0)
    if x is None:
        return
    y = b.draw(st.sampled_from([v for v in b.pool if v.type == x.type][::-1]))
    axis = b.draw(st.integers(0, len(shape_of(x)) - 1))
    shape = list(shape_of(x))
    shape[axis] = shape[axis] + shape[axis]
    b.add("Concat", [x, y], dtype_of(x), shape, {"axis": axis - b.draw(st.sampled_from((0, len(shape))))})


def pad(b: Builder) -> None:
    """Padding by a constant, perhaps by nothing."""
    x = b.pick(lambda v: len(shape_of(v)) > 0 and dtype_of(v) is DType.FLOAT32)
    if x is None:
        return
    rank = len(shape_of(x))
    pads = [b.draw(st.integers(0, 1)) for _ in range(2 * rank)]
    value = [b.constant(b.draw(st.sampled_from((0.0, 1.5, -0.0))), DType.FLOAT32)] if b.draw(st.booleans()) else []
    shape = [dim + pads[i] + pads[i + rank] for i, dim in enumerate(shape_of(x))]
    b.add("Pad", [x, b.indices(pads), *value], dtype_of(x), shape)


def own_shape(b: Builder) -> None:
    """A reshape or expansion to the value's own shape, computed as exporters do."""
    x = b.pick(lambda v: len(shape_of(v)) > 0)
    if x is None:
        return
    rank = len(shape_of(x))
    whole = b.add("Shape", [x], DType.INT64, [rank])
    if b.draw(st.booleans()):
        parts = [b.add("Gather", [whole, b.indices([i])], DType.INT64, [1], {"axis": 0}) for i in range(rank)]
        whole = b.add("Concat", parts, DType.INT64, [rank], {"axis": 0})
    if b.draw(st.booleans()):
        b.add("Expand", [x, whole], dtype_of(x), shape_of(x))
    else:
        b.add("Reshape", [x, whole], dtype_of(x), shape_of(x), {"allowzero": 1})
