"""Reductions over axes, and the operators that look for a place along one axis."""

from __future__ import annotations

from graphopt.ir.dim import Dim, product
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType
from graphopt.ops.shape.operand import (
    Result,
    axes_in,
    axis_in,
    dims_in,
    dtype_of,
    ints_in,
    one_element,
    refuse,
    setting,
    shape_of,
    tensor,
    unknown,
    unknown_shape,
    vector,
)
from graphopt.ops.table import Inference, shape_rule


@shape_rule(
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
def reduce(call: Inference) -> Result:
    """The named axes become 1 or vanish; no axes mean all, or none when `noop_with_empty_axes` is set."""
    data = tensor(call, 0)
    if data is None or data.shape is None:
        return (TensorType(dtype_of(call, 0)),)
    rank, keep = len(data.shape), bool(call.attributes.get("keepdims", 1))
    axes, known = setting(call, "axes", 1)
    if not known:
        return (TensorType(data.dtype, unknown_shape(call, rank) if keep else None),)
    if not axes:
        if call.attributes.get("noop_with_empty_axes", 0):
            return (data,)
        return (TensorType(data.dtype, (1,) * rank if keep else ()),)
    return (TensorType(data.dtype, _reduced(data.shape, axes_in(call, axes, rank), keep)),)


@shape_rule("ArgMax", "ArgMin")
def arg_reduce(call: Inference) -> Result:
    """One axis becomes 1 or vanishes; the elements are places along it."""
    shape = shape_of(call, 0)
    if shape is None:
        return (TensorType(DType.INT64),)
    if not shape:
        axis_in(call, call.attributes.get("axis", 0), 1)
        return (TensorType(DType.INT64, ()),)
    axis = axis_in(call, call.attributes.get("axis", 0), len(shape))
    if shape[axis] == 0:
        refuse(call, f"axis {axis} has no elements to choose from")
    return (TensorType(DType.INT64, _reduced(shape, [axis], bool(call.attributes.get("keepdims", 1)))),)


@shape_rule("TopK")
def top_k(call: Inference) -> Result:
    """The axis has `k` elements, in values and in places alike."""
    data = tensor(call, 0)
    if data is None or data.shape is None:
        return (TensorType(dtype_of(call, 0)), TensorType(DType.INT64))
    axis = axis_in(call, call.attributes.get("axis", -1), len(data.shape))
    one_element(call, 1, "K")
    k: Dim
    if "k" in call.attributes:
        k = call.attributes["k"]
    else:
        found = dims_in(call, 1)
        if found is not None and len(found) != 1:
            refuse(call, f"k must be one number, got {len(found)}")
        k = unknown(call, axis) if found is None else found[0]
    along = data.shape[axis]
    if isinstance(k, int) and isinstance(along, int) and not 0 <= k <= along:
        refuse(call, f"k is {k}, but axis {axis} has {along} elements")
    shape = (*data.shape[:axis], k, *data.shape[axis + 1 :])
    return (TensorType(data.dtype, shape), TensorType(DType.INT64, shape))


@shape_rule("Compress")
def compress(call: Inference) -> Result:
    """As many elements along the axis (or in all) as the condition has that are true."""
    shape = shape_of(call, 0)
    axis = call.attributes.get("axis")
    condition = ints_in(call, 1)
    vector(call, 1, None, "condition")
    _check_condition(call, shape, axis)
    if axis is None:
        count = unknown(call, 0) if condition is None else sum(map(bool, condition))
        return (TensorType(dtype_of(call, 0), (count,)),)
    if shape is None:
        return (TensorType(dtype_of(call, 0)),)
    axis = axis_in(call, axis, len(shape))
    count = unknown(call, axis) if condition is None else sum(map(bool, condition))
    return (TensorType(dtype_of(call, 0), (*shape[:axis], count, *shape[axis + 1 :])),)


def _check_condition(call: Inference, shape: Shape | None, axis: int | None) -> None:
    """A condition may be shorter than what it chooses from, not longer."""
    condition = shape_of(call, 1)
    if shape is None or condition is None:
        return
    room = product(shape) if axis is None else shape[axis_in(call, axis, len(shape))]
    if isinstance(room, int) and isinstance(condition[0], int) and condition[0] > room:
        refuse(call, f"the condition has {condition[0]} elements for {room} to choose from")


@shape_rule("CumSum", "CumProd")
def running(call: Inference) -> Result:
    """The data's type; the axis is an operand."""
    shape, axis = shape_of(call, 0), ints_in(call, 1)
    one_element(call, 1, "axis")
    if shape is not None and axis:
        axis_in(call, axis[0], len(shape))
    return (call.types[0],)


def _reduced(shape: Shape, axes: list[int], keep: bool) -> Shape:
    if keep:
        return tuple([1 if axis in axes else dim for axis, dim in enumerate(shape)])
    return tuple([dim for axis, dim in enumerate(shape) if axis not in axes])
