"""Operators that move elements: reshaping, transposing, joining, splitting, repeating, padding."""

from __future__ import annotations

from collections.abc import Sequence

from graphopt.ir.dim import Dim, floor_divide, product
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.extent import is_nonnegative
from graphopt.ops.shape.operand import (
    MOST_DIMENSIONS,
    Result,
    axes_in,
    axis_in,
    broadcast,
    dims_in,
    divisible,
    dtype_of,
    ints_in,
    is_given,
    one_element,
    refuse,
    same_dim,
    setting,
    shape_of,
    tensor,
    unknown,
    unknown_shape,
    vector,
    with_rank,
    within,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule("Reshape")
def reshape(call: Inference) -> Result:
    """The shape operand's dims, where 0 copies (unless `allowzero`) and −1 takes what is left."""
    data, target = shape_of(call, 0), dims_in(call, 1)
    vector(call, 1, None, "shape")
    if target is None:
        return (TensorType(dtype_of(call, 0), _rank_of_vector(call, 1)),)
    copy = not call.attributes.get("allowzero", 0)
    dims: list[Dim] = []
    inferred = None
    for axis, dim in enumerate(target):
        if dim == -1:
            if inferred is not None:
                refuse(call, f"the shape {_show(target)} leaves more than one dimension open")
            inferred = axis
            dims.append(1)
        elif dim == 0 and copy:
            if data is not None and axis >= len(data):
                refuse(call, f"the shape {_show(target)} copies dimension {axis}, which the data does not have")
            dims.append(unknown(call, axis) if data is None else data[axis])
        elif isinstance(dim, int) and dim < 0:
            refuse(call, f"the shape {_show(target)} has a dimension below -1")
        else:
            dims.append(dim if is_nonnegative(dim) else unknown(call, axis))
    if inferred is not None:
        copied = [axis for axis, dim in enumerate(target) if copy and isinstance(dim, int) and dim == 0]
        dims[inferred] = _left_over(call, data, dims, inferred, copied)
    elif data is not None:
        _check_count(call, data, dims)
    return (TensorType(dtype_of(call, 0), tuple(dims)),)


@shape_rule("Flatten")
def flatten(call: Inference) -> Result:
    """Two dimensions: the product of those before the axis, and of the rest."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 2)),)
    axis = call.attributes.get("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        refuse(call, f"axis {axis} is outside the {len(shape)} dimensions of its operand")
    axis = axis % len(shape) if axis < 0 else axis
    return (TensorType(dtype_of(call, 0), (product(shape[:axis]), product(shape[axis:]))),)


@shape_rule("Squeeze")
def squeeze(call: Inference) -> Result:
    """The named axes, or all that are 1, vanish."""
    shape = shape_of(call, 0)
    axes, known = setting(call, "axes", 1)
    if shape is None or not known:
        return (TensorType(dtype_of(call, 0)),)
    if axes is None:
        if not all(isinstance(dim, int) for dim in shape):
            return (TensorType(dtype_of(call, 0)),)
        return (TensorType(dtype_of(call, 0), tuple([dim for dim in shape if dim != 1])),)
    gone = axes_in(call, axes, len(shape))
    for axis in gone:
        if isinstance(shape[axis], int) and shape[axis] != 1:
            refuse(call, f"cannot remove axis {axis}: it has {shape[axis]} elements")
    return (TensorType(dtype_of(call, 0), tuple([dim for axis, dim in enumerate(shape) if axis not in gone])),)


@shape_rule("Unsqueeze")
def unsqueeze(call: Inference) -> Result:
    """The result has a 1 at each of the named axes."""
    shape = shape_of(call, 0)
    axes, known = setting(call, "axes", 1)
    if shape is None or not known or axes is None:
        return (TensorType(dtype_of(call, 0)),)
    rank = len(shape) + len(axes)
    new = axes_in(call, axes, rank)
    rest = iter(shape)
    return (TensorType(dtype_of(call, 0), tuple([1 if axis in new else next(rest) for axis in range(rank)])),)


@shape_rule("Transpose")
def transpose(call: Inference) -> Result:
    """The axes in the order `perm` names, reversed by default."""
    shape = shape_of(call, 0)
    if shape is None:
        perm = call.attributes.get("perm")
        return (TensorType(dtype_of(call, 0), None if perm is None else unknown_shape(call, len(perm))),)
    perm = call.attributes.get("perm", range(len(shape))[::-1])
    if sorted(perm) != list(range(len(shape))):
        refuse(call, f"perm {list(perm)} does not order the {len(shape)} axes of its operand")
    return (TensorType(dtype_of(call, 0), tuple([shape[axis] for axis in perm])),)


@shape_rule("Concat")
def concat(call: Inference) -> Result:
    """Along the axis the sum of all, elsewhere the one dimension that all have."""
    shapes = [shape for slot in range(len(call.types)) if (shape := shape_of(call, slot)) is not None]
    if not shapes:
        return (TensorType(dtype_of(call, 0)),)
    rank = len(shapes[0])
    axis = axis_in(call, call.attributes.get("axis", 1), rank)
    if any(len(shape) != rank for shape in shapes):
        refuse(call, f"operands must have one rank, got {sorted({len(shape) for shape in shapes})}")
    dims = list(shapes[0])
    for shape in shapes[1:]:
        for i, dim in enumerate(shape):
            if i != axis:
                dims[i] = same_dim(call, dims[i], dim, f"the dimensions of axis {i}")
    total: Dim = 0
    for shape in shapes:
        total = total + shape[axis]
    dims[axis] = total if len(shapes) == len(call.types) else unknown(call, axis)
    return (TensorType(dtype_of(call, 0), tuple(dims)),)


@shape_rule("Split")
def split(call: Inference) -> Result:
    """Pieces of the given sizes along the axis; else equal ones, the last one smaller where need be."""
    data, count = shape_of(call, 0), call.outputs
    dtype = dtype_of(call, 0)
    if data is None:
        return (TensorType(dtype),) * count
    axis = axis_in(call, call.attributes.get("axis", 0), len(data))
    sizes: Sequence[Dim] | None = call.attributes.get("split")
    if sizes is None and is_given(call, 1):
        sizes = dims_in(call, 1)
        if sizes is None:
            sizes = [unknown(call, axis, slot) for slot in range(count)]
    if sizes is None:
        sizes = _equal_pieces(call, data[axis], call.attributes.get("num_outputs", count))
    vector(call, 1, count, "split")
    if len(sizes) != count:
        refuse(call, f"splits into {len(sizes)} pieces but has {count} outputs")
    if any(isinstance(size, int) and size < 0 for size in sizes):
        refuse(call, f"a piece must not have a negative size, got {_show(sizes)}")
    total = sum(size for size in sizes if isinstance(size, int))
    if all(isinstance(size, int) for size in sizes) and isinstance(data[axis], int) and total != data[axis]:
        refuse(call, f"pieces of {_show(sizes)} do not make up the {data[axis]} elements of axis {axis}")
    return tuple([TensorType(dtype, (*data[:axis], size, *data[axis + 1 :])) for size in sizes])


@shape_rule("Expand")
def expand(call: Inference) -> Result:
    """The data broadcast with the shape operand, in both directions."""
    target = dims_in(call, 1)
    vector(call, 1, None, "shape")
    if any(isinstance(dim, int) and dim < 0 for dim in target or ()):
        refuse(call, f"the shape {_show(target or ())} has a negative dimension")
    if target is None:
        wanted, data = _rank_of_vector(call, 1), shape_of(call, 0)
        rank = None if wanted is None or data is None else max(len(wanted), len(data))
        return (TensorType(dtype_of(call, 0), None if rank is None else unknown_shape(call, rank)),)
    wanted = tuple([dim if is_nonnegative(dim) else unknown(call, axis) for axis, dim in enumerate(target)])
    return (TensorType(dtype_of(call, 0), broadcast(call, [shape_of(call, 0), wanted])),)


@shape_rule("Tile")
def tile(call: Inference) -> Result:
    """Each dimension times its number of repeats."""
    shape, repeats = shape_of(call, 0), dims_in(call, 1)
    if shape is None:
        return (TensorType(dtype_of(call, 0), _rank_of_vector(call, 1)),)
    if repeats is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, len(shape))),)
    vector(call, 1, len(shape), "repeats")
    if len(repeats) != len(shape):
        refuse(call, f"has {len(repeats)} repeats for {len(shape)} dimensions")
    within(call, 1, 0, 2**63 - 1, "repeats")
    return (TensorType(dtype_of(call, 0), tuple([dim * n for dim, n in zip(shape, repeats, strict=True)])),)


@shape_rule("Pad")
def pad(call: Inference) -> Result:
    """Each dimension grows by the padding before and after it (a negative one takes elements away)."""
    shape = shape_of(call, 0)
    one_element(call, 2, "constant_value")
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    vector(call, 1, None, "pads")
    vector(call, 3, None, "axes")
    pads: Sequence[Dim] | None = call.attributes.get("pads") or dims_in(call, 1)
    axes = ints_in(call, 3) if is_given(call, 3) else list(range(len(shape)))
    if pads is None or axes is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, len(shape))),)
    axes = axes_in(call, axes, len(shape))
    if len(pads) != 2 * len(axes):
        refuse(call, f"has {len(pads)} pads for {len(axes)} axes")
    dims = list(shape)
    for i, axis in enumerate(axes):
        before, after = pads[i], pads[i + len(axes)]
        _check_mirrored(call, axis, shape[axis], before, after)
        dims[axis] = dims[axis] + before + after
        size = dims[axis]
        if isinstance(size, int) and size < 0:
            refuse(call, f"pads take more elements from axis {axis} than it has")
    return (TensorType(dtype_of(call, 0), tuple(dims)),)


def _check_mirrored(call: Inference, axis: int, size: Dim, before: Dim, after: Dim) -> None:
    """Padding that repeats elements needs some: at least one, and more than it mirrors at either end."""
    mode = call.attributes.get("mode", "constant")
    if mode == "constant" or not all(isinstance(dim, int) for dim in (size, before, after)):
        return
    kept = int(size) + min(int(before), 0) + min(int(after), 0)  # type: ignore[arg-type]
    most = max(int(before), int(after))  # type: ignore[arg-type]
    if most > 0 and kept < 1:
        refuse(call, f"mode {mode} pads axis {axis}, which has no elements")
    if mode == "reflect" and most >= max(kept, 1) and most > 0:
        refuse(call, f"mode reflect pads axis {axis} by {most}, but it has {kept} elements")


@shape_rule("CenterCropPad")
def center_crop_pad(call: Inference) -> Result:
    """The named axes have the sizes given."""
    shape, sizes = shape_of(call, 0), dims_in(call, 1)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    axes = axes_in(call, call.attributes.get("axes", range(len(shape))), len(shape))
    if sizes is None:
        sizes = [unknown(call, axis) for axis in axes]
    vector(call, 1, len(axes), "shape")
    if len(sizes) != len(axes):
        refuse(call, f"has {len(sizes)} sizes for {len(axes)} axes")
    within(call, 1, 0, 2**63 - 1, "shape")
    found = dict(zip(axes, sizes, strict=True))
    return (TensorType(dtype_of(call, 0), tuple([found.get(axis, dim) for axis, dim in enumerate(shape)])),)


@shape_rule("DepthToSpace", "SpaceToDepth")
def depth_and_space(call: Inference) -> Result:
    """Blocks of channels become space, or space becomes channels."""
    shape, block = shape_of(call, 0), call.attributes["blocksize"]
    if shape is None:
        return (TensorType(dtype_of(call, 0), unknown_shape(call, 4)),)
    n, c, h, w = with_rank(call, shape, 4, "the data", 4)
    if block < 1:
        refuse(call, f"blocksize must be positive, got {block}")
    if call.op == "DepthToSpace":
        divisible(call, c, block * block, "the channels")
        dims = (n, floor_divide(c, block * block), h * block, w * block)
    else:
        divisible(call, h, block, "the height")
        divisible(call, w, block, "the width")
        dims = (n, c * (block * block), floor_divide(h, block), floor_divide(w, block))
    return (TensorType(dtype_of(call, 0), dims),)


@shape_rule("Trilu")
def trilu(call: Inference) -> Result:
    """The type of a stack of matrices; k is one number."""
    shape = shape_of(call, 0)
    one_element(call, 1, "k")
    if shape is not None:
        with_rank(call, shape, 2, "the data")
    return (call.types[0],)


@shape_rule("ReverseSequence")
def reverse_sequence(call: Inference) -> Result:
    """The data's type; each entry of the batch has a length within the time axis."""
    shape = shape_of(call, 0)
    if shape is not None:
        with_rank(call, shape, 2, "the data")
        time, batch = call.attributes.get("time_axis", 0), call.attributes.get("batch_axis", 1)
        if {time, batch} != {0, 1}:
            refuse(call, f"time and batch axis must be 0 and 1, got {time} and {batch}")
        vector(call, 1, shape[batch], "sequence_lens")
        within(call, 1, 0, shape[time], "sequence_lens")
    return (tensor(call, 0),)


def _left_over(call: Inference, data: Shape | None, dims: list[Dim], axis: int, copied: Sequence[int]) -> Dim:
    if data is None:
        return unknown(call, axis)
    before = list(data)
    rest: list[Dim] = []
    for i, dim in enumerate(dims):
        if i == axis:
            continue
        if dim in before and (dim != 0 or i in copied):
            before.remove(dim)  # the same dimension on both sides: no need to divide, whatever it is
        else:
            rest.append(dim)
    total, known = product(before), product(rest)
    if isinstance(known, int):
        if known == 0:
            return 0
        if isinstance(total, int) and total % known:
            refuse(call, f"cannot spread {total} elements over dimensions that hold {known}")
    return floor_divide(total, known)


def _check_count(call: Inference, data: Shape, dims: list[Dim]) -> None:
    have, want = product(data), product(dims)
    if isinstance(have, int) and isinstance(want, int) and have != want:
        refuse(call, f"cannot reshape [{_show(data)}] ({have} elements) to [{_show(dims)}] ({want} elements)")


def _equal_pieces(call: Inference, size: Dim, count: int) -> list[Dim]:
    if count != call.outputs or count < 1:
        refuse(call, f"splits into {count} pieces but has {call.outputs} outputs")
    if call.version < 18:
        if isinstance(size, int) and size % count:
            refuse(call, f"cannot cut {size} elements into {count} equal pieces")
        return [floor_divide(size, count)] * count
    piece = -floor_divide(-size, count)
    if isinstance(size, int) and isinstance(piece, int):
        return [max(0, min(piece, size - i * piece)) for i in range(count)]  # so few elements leave some pieces empty
    return [piece] * (count - 1) + [size - piece * (count - 1)]


def _rank_of_vector(call: Inference, slot: int) -> Shape | None:
    """A shape whose rank is the length of a vector operand, which may be known although its elements are not."""
    vector = shape_of(call, slot)
    if vector is None or len(vector) != 1 or not isinstance(vector[0], int):
        return None
    return unknown_shape(call, vector[0]) if vector[0] <= MOST_DIMENSIONS else None


def _show(dims: Sequence[Dim]) -> str:
    return ", ".join(map(str, dims))
