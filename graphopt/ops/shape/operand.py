"""What shape rules ask of an application: its operands' types, known elements, attributes; and how they refuse one.

All rules are polymorphic in `Dim`: on numbers they are plain integer arithmetic, on symbols they give expressions.
What holds only for some values of the symbols is never guessed: such a dimension is a function of the others
(`max(N - 1, 0)`), or an anonymous one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import numpy as np

from graphopt.errors import MisfitError
from graphopt.ir.dim import Dim, Expr, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.types import Shape, TensorType, Type
from graphopt.ops.shape.extent import broadcast_of
from graphopt.ops.table import Inference

Result = tuple[Type | None, ...]

MOST_DIMENSIONS = 64  # numpy's limit; a rank read from a model is not trusted beyond it


def refuse(call: Inference, problem: str) -> NoReturn:
    """Raise the MisfitError that says how this application breaks its operator's specification."""
    raise MisfitError(call.op, problem)


def tensor(call: Inference, slot: int) -> TensorType | None:
    """The type of an operand that is a tensor; None when it is left out or not known to be one."""
    type = call.types[slot] if slot < len(call.types) else None
    return type if isinstance(type, TensorType) else None


def shape_of(call: Inference, slot: int) -> Shape | None:
    """The shape of an operand, None when not even its rank is known."""
    type = call.types[slot] if slot < len(call.types) else None
    return type.shape if isinstance(type, TensorType) else None


def dtype_of(call: Inference, slot: int) -> DType | None:
    """The element type of an operand."""
    type = call.types[slot] if slot < len(call.types) else None
    return type.dtype if isinstance(type, TensorType) else None


def is_given(call: Inference, slot: int) -> bool:
    """Whether an operand may be there: False only when it is left out (then it has neither type nor value)."""
    return slot < len(call.types) and call.types[slot] is not None


def elements(call: Inference, slot: int) -> np.ndarray | None:
    """The known elements of an operand: numbers, or an object array of dims."""
    return call.values[slot] if slot < len(call.values) else None


def dims_in(call: Inference, slot: int) -> list[Dim] | None:
    """The known elements of an integer operand as dims, in order; None when they are not known."""
    array = elements(call, slot)
    if array is None:
        return None
    return [item if isinstance(item, Expr) else int(item) for item in array.reshape(-1).tolist()]


def ints_in(call: Inference, slot: int) -> list[int] | None:
    """The known elements of an integer operand when all are numbers."""
    dims = dims_in(call, slot)
    if dims is None:
        return None
    numbers = [dim for dim in dims if isinstance(dim, int)]
    return numbers if len(numbers) == len(dims) else None


def setting(call: Inference, name: str, slot: int) -> tuple[list[int] | None, bool]:
    """Numbers that are an attribute in older opsets and an operand in newer ones, and whether they are known.

    `(None, True)`: certainly left out; `(None, False)`: given, but not known yet.
    """
    if name in call.attributes:
        value = call.attributes[name]
        return [int(value)] if isinstance(value, int) else list(value), True
    if not is_given(call, slot):
        return None, True
    numbers = ints_in(call, slot)
    return numbers, numbers is not None


def unknown(call: Inference, axis: int, slot: int = 0) -> Expr:
    """A dimension of which only its existence is known."""
    return symbol(f"?{call.name}.{axis}" if slot == 0 else f"?{call.name}.{slot}.{axis}")


def unknown_shape(call: Inference, rank: int, slot: int = 0) -> Shape:
    """A shape of which only the rank is known."""
    return tuple(unknown(call, axis, slot) for axis in range(rank))


def axis_in(call: Inference, axis: int, rank: int) -> int:
    """An axis counted from the front; MisfitError when the tensor has no such axis."""
    if not -rank <= axis < rank:
        refuse(call, f"axis {axis} is outside the {rank} dimensions of its operand")
    return axis % rank if axis < 0 else axis


def axes_in(call: Inference, axes: Iterable[int], rank: int) -> list[int]:
    """Axes counted from the front; MisfitError when one does not exist or is named twice."""
    found = [axis_in(call, axis, rank) for axis in axes]
    if len(set(found)) < len(found):
        refuse(call, f"names an axis twice in {found}")
    return found


def broadcast(call: Inference, shapes: Sequence[Shape | None]) -> Shape | None:
    """The shape to which all shapes are broadcast (ONNX: multidirectional); None when a rank is unknown."""
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    if not known:
        return ()
    result = known[0]
    for shape in known[1:]:
        if shape == result:
            continue
        longer, shorter = (result, shape) if len(result) >= len(shape) else (shape, result)
        lead = len(longer) - len(shorter)
        result = longer[:lead] + tuple(
            [a if a == b else broadcast_dim(call, a, b) for a, b in zip(longer[lead:], shorter, strict=True)]
        )
    return result


def broadcast_dim(call: Inference, a: Dim, b: Dim) -> Dim:
    """The dimension to which two are broadcast; MisfitError for two numbers that do not fit."""
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, int):
        if isinstance(b, int):
            refuse(call, f"cannot broadcast the dimension {a} with {b}")
        return a  # b is 1 or a, else the model is wrong
    if isinstance(b, int):
        return b
    return broadcast_of(a, b)


def same_dim(call: Inference, a: Dim, b: Dim, what: str) -> Dim:
    """One of two dimensions that must be equal, the more definite; MisfitError when both are numbers and differ."""
    if isinstance(a, int):
        if isinstance(b, int) and a != b:
            refuse(call, f"{what} must agree, got {a} and {b}")
        return a
    if isinstance(b, int):
        return b
    return b if a.is_anonymous and not b.is_anonymous else a


def same_shape(call: Inference, slot: int, wanted: Sequence[Dim | None], name: str) -> None:
    """MisfitError unless an operand has, as far as is known, the shape wanted; None stands for any size."""
    shape = shape_of(call, slot)
    if shape is None:
        return
    if len(shape) != len(wanted) or any(_differ(a, b) for a, b in zip(shape, wanted, strict=True)):
        refuse(call, f"{name} must have shape {_show(wanted)}, got {_show(shape)}")


def vector(call: Inference, slot: int, length: Dim | None, name: str) -> None:
    """MisfitError unless an operand is a vector, as far as is known of that length."""
    same_shape(call, slot, (length,), name)


def one_element(call: Inference, slot: int, name: str) -> None:
    """MisfitError unless an operand, where it is given, has one element: a scalar, or a tensor of one."""
    shape = shape_of(call, slot)
    if shape is not None and any(_differ(1, dim) for dim in shape):
        refuse(call, f"{name} must have one element, got shape {_show(shape)}")


def spreads(call: Inference, slot: int, target: Shape, name: str) -> None:
    """MisfitError unless an operand broadcasts to the target without widening it (ONNX: unidirectional)."""
    shape = shape_of(call, slot)
    if shape is None:
        return
    pairs = zip(shape[::-1], target[::-1], strict=False)
    if len(shape) > len(target) or any(a != 1 and _differ(a, b) for a, b in pairs):
        refuse(call, f"{name} must broadcast to {_show(target)}, got {_show(shape)}")


def within(call: Inference, slot: int, low: Dim, high: Dim, name: str) -> None:
    """MisfitError for a known element of an operand that is not a number from `low` to `high`, both included."""
    within_bounds(call, elements(call, slot), low, high, name)


def within_bounds(call: Inference, array: np.ndarray | None, low: Dim, high: Dim, name: str) -> None:
    """As `within`, for elements at hand."""
    if array is None or not array.size:
        return
    if array.dtype == object:
        numbers = [item for item in array.reshape(-1).tolist() if isinstance(item, int)]
        if not numbers:
            return
        least, most = min(numbers), max(numbers)
    else:
        least, most = array.min().item(), array.max().item()  # NaN where one element is: below nothing, above nothing
    below = isinstance(low, int) and not least >= low
    if below or (isinstance(high, int) and not most <= high):
        refuse(call, f"{name} must lie from {low} to {high}, got {least if below else most}")


def places(call: Inference, slot: int, size: Dim, name: str, what: str) -> None:
    """MisfitError for a known element of an operand that names no place among `size`, counted from either end."""
    array = elements(call, slot)
    if isinstance(size, int) and array is not None:
        if not size and array.size:
            refuse(call, f"{name} names a place in {what}, which has no elements")
        within_bounds(call, array, -size, size - 1, f"{name} into {what} of {size} elements")


def divisible(call: Inference, size: Dim, by: int, what: str) -> None:
    """MisfitError unless a size is, as far as is known, a multiple of a number."""
    if by < 1 or (isinstance(size, int) and size % by):
        refuse(call, f"{what} must be a multiple of {by}, got {size}")


def _differ(a: Dim | None, b: Dim | None) -> bool:
    return isinstance(a, int) and isinstance(b, int) and a != b


def _show(shape: Sequence[Dim | None]) -> str:
    return f"[{', '.join('any' if dim is None else str(dim) for dim in shape)}]"


def with_rank(call: Inference, shape: Shape, least: int, what: str, most: int | None = None) -> Shape:
    """The shape; MisfitError when its rank is not as the operator needs."""
    if len(shape) < least or (most is not None and len(shape) > most):
        wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
        refuse(call, f"{what} must have {wanted} dimensions, got shape {_show(shape)}")
    return shape


def like(slot: int = 0) -> Callable[[Inference], Result]:
    """A rule: every output has the type of one operand."""

    def rule(call: Inference) -> Result:
        return (call.types[slot] if slot < len(call.types) else None,) * call.outputs

    return rule
