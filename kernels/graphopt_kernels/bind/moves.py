"""What each moving operator copies: index spaces with strides into the source and the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphopt_kernels.abi import Operand, Ref
from graphopt_kernels.bind.broadcast import broadcast_strides, contiguous_strides
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape, of_size


@dataclass(frozen=True, slots=True)
class Move:
    """target[target_offset + Σ i·target_strides] = source[source_offset + Σ i·source_strides] for all i below sizes."""

    source: Ref | int
    """Where from; for a fill, the bit pattern of the element (then the source's strides are 0)."""
    target: Ref
    sizes: tuple[int, ...]
    source_strides: tuple[int, ...]
    target_strides: tuple[int, ...]
    source_offset: int = 0
    target_offset: int = 0


Inputs: TypeAlias = Sequence[Operand | None]
Attributes: TypeAlias = Mapping[str, Any]
Moves: TypeAlias = Callable[[Inputs, Sequence[Operand], Attributes], list[Move]]


def required(inputs: Inputs, slot: int) -> Operand:
    """The operand in a slot; ValueError where it is left out."""
    operand = inputs[slot] if slot < len(inputs) else None
    if operand is None:
        raise ValueError(f"input {slot} is missing")
    return operand


def elements(inputs: Inputs, slot: int) -> list[int] | None:
    """The elements of a shape-like operand, None where it is left out; ValueError where they are not known."""
    operand = inputs[slot] if slot < len(inputs) else None
    if operand is None:
        return None
    if operand.value is None:
        raise ValueError(f"the elements of input {slot} must be known when shapes are bound")
    return [int(v) for v in np.asarray(operand.value).reshape(-1)]


def axis_of(axis: int, rank: int) -> int:
    """The axis counted from the front; ValueError where there is none such."""
    if not -rank <= axis < max(rank, 1):
        raise ValueError(f"axis {axis} is outside rank {rank}")
    return axis % rank if rank else 0


def _reshaped(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    if source.size != target.size:
        raise ValueError(f"shape {list(source.shape)} cannot become {list(target.shape)}")
    return [Move(source.ref, target.ref, (source.size,), (1,), (1,))]


def _transpose(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    order = [int(axis) for axis in attributes.get("perm") or range(len(source.shape))[::-1]]
    own = contiguous_strides(source.shape)
    if sorted(order) != list(range(len(own))):
        raise ValueError(f"perm {order} does not permute {len(own)} axes")
    sizes = tuple(source.shape[axis] for axis in order)
    of_shape("the output", target, sizes)
    return [Move(source.ref, target.ref, sizes, tuple(own[axis] for axis in order), contiguous_strides(sizes))]


def _concat(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    target = outputs[0]
    axis = axis_of(int(attributes["axis"]), len(target.shape))
    own, moves, place = contiguous_strides(target.shape), list[Move](), 0
    for slot in range(len(inputs)):
        source = required(inputs, slot)
        of_rank(f"input {slot}", source, len(target.shape), len(target.shape))
        of_shape(f"input {slot}", source, _resized(target.shape, axis, source.shape[axis]))
        strides = contiguous_strides(source.shape)
        moves.append(Move(source.ref, target.ref, source.shape, strides, own, 0, place * own[axis]))
        place += source.shape[axis]
    of_shape("the output", target, _resized(target.shape, axis, place))
    return moves


def _split(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source = required(inputs, 0)
    axis = axis_of(int(attributes.get("axis", 0)), len(source.shape))
    own, moves, place = contiguous_strides(source.shape), list[Move](), 0
    for slot, target in enumerate(outputs):
        of_rank(f"output {slot}", target, len(source.shape), len(source.shape))
        of_shape(f"output {slot}", target, _resized(source.shape, axis, target.shape[axis]))
        strides = contiguous_strides(target.shape)
        moves.append(Move(source.ref, target.ref, target.shape, own, strides, place * own[axis], 0))
        place += target.shape[axis]
    of_shape("the input", source, _resized(source.shape, axis, place))
    return moves


def _resized(shape: Sequence[int], axis: int, size: int) -> tuple[int, ...]:
    """The shape with another size along one axis."""
    return (*shape[:axis], size, *shape[axis + 1 :])


def _slice(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    rank = len(source.shape)
    if "starts" in attributes:  # before opset 10
        starts, axes, steps = list(attributes["starts"]), attributes.get("axes"), None
    else:
        starts, axes, steps = elements(inputs, 1) or [], elements(inputs, 3), elements(inputs, 4)
    chosen = list(range(len(starts))) if axes is None else [axis_of(int(a), rank) for a in axes]
    if len(set(chosen)) != len(chosen) or not len(starts) == len(chosen) == len(starts if steps is None else steps):
        raise ValueError(
            f"{len(starts)} starts do not fit the axes {chosen}, each of which needs one start and one step"
        )
    of_rank("the output", target, rank, rank)
    strides, offset, sizes = list(contiguous_strides(source.shape)), 0, list(source.shape)
    for i, axis in enumerate(chosen):
        size, step = source.shape[axis], 1 if steps is None else steps[i]
        start = int(starts[i]) + (size if starts[i] < 0 else 0)
        start = min(max(start, 0), size - 1) if step < 0 else min(max(start, 0), size)
        count = sizes[axis] = target.shape[axis]
        if step == 0 or (count and not 0 <= start + (count - 1) * step < size):
            raise ValueError(f"{count} elements from {start} on by steps of {step} leave axis {axis} of size {size}")
        offset += start * strides[axis]
        strides[axis] *= step
    of_shape("the output", target, sizes)
    return [Move(source.ref, target.ref, target.shape, tuple(strides), contiguous_strides(target.shape), offset)]


def _expand(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    own = contiguous_strides(target.shape)
    return [Move(source.ref, target.ref, target.shape, broadcast_strides(source.shape, target.shape), own)]


def _tile(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    of_rank("the output", target, len(source.shape), len(source.shape))
    own, full = contiguous_strides(source.shape), contiguous_strides(target.shape)
    sizes, reads, writes = list[int](), list[int](), list[int]()
    for axis, size in enumerate(source.shape):
        repeats = target.shape[axis] // size if size else 0
        if repeats * size != target.shape[axis]:
            raise ValueError(f"axis {axis} of size {size} does not repeat to {target.shape[axis]}")
        sizes += [repeats, size]
        reads += [0, own[axis]]
        writes += [full[axis] * size, full[axis]]
    return [Move(source.ref, target.ref, tuple(sizes), tuple(reads), tuple(writes))]


def _constant(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    return [_fill(outputs[0], attributes.get("value", np.float32(0)))]


def _fill(target: Operand, value: Any) -> Move:
    array = np.asarray(value)
    if array.size != 1:
        raise ValueError(f"the value has {array.size} elements where one is expected")
    pattern = array.reshape(-1)[0].astype(target.dtype).tobytes()
    return Move(int.from_bytes(pattern, "little", signed=len(pattern) == 8), target.ref, (target.size,), (0,), (1,))


def pads_before(inputs: Inputs, target: Operand, attributes: Attributes) -> list[int]:
    """What Pad puts before each axis of its first input; ValueError where the target has another shape than that."""
    source = required(inputs, 0)
    rank = len(source.shape)
    pads = [int(p) for p in attributes["pads"]] if "pads" in attributes else elements(inputs, 1) or []
    axes = elements(inputs, 3)
    chosen = list(range(rank)) if axes is None else [axis_of(a, rank) for a in axes]
    if len(set(chosen)) != len(chosen) or len(pads) != 2 * len(chosen):
        raise ValueError(f"{len(pads)} pads do not fit the axes {chosen}, each of which needs two")
    before, sizes = [0] * rank, list(source.shape)
    for i, axis in enumerate(chosen):
        before[axis] = pads[i]
        sizes[axis] += pads[i] + pads[len(chosen) + i]
    of_shape("the output", target, sizes)
    return before


def _pad(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    """The fill first, everywhere, then the kept part; negative pads cut."""
    source, target = required(inputs, 0), outputs[0]
    value = inputs[2] if len(inputs) > 2 else None
    of_dtype("the constant value", value, target.dtype)
    of_size("the constant value", value, 1)
    before = pads_before(inputs, target, attributes)
    own, full = contiguous_strides(source.shape), contiguous_strides(target.shape)
    sizes, read, write = list[int](), 0, 0
    for axis, size in enumerate(source.shape):
        lead = before[axis]
        low, high = max(0, -lead), min(size, target.shape[axis] - lead)
        sizes.append(max(high - low, 0))
        read += low * own[axis]
        write += (low + lead) * full[axis]
    kept = Move(source.ref, target.ref, tuple(sizes), own, full, read, write)
    if math.prod(sizes) == target.size:
        return [kept]
    if value is None:
        return [_fill(target, attributes.get("value", 0)), kept]
    return [Move(value.ref, target.ref, (target.size,), (0,), (1,)), kept]


def _depth_to_space(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    n, c, h, w, block = _blocks(source, attributes)
    depth = c // (block * block)
    if depth * block * block != c:
        raise ValueError(f"{c} channels do not fall into blocks of {block} by {block}")
    of_shape("the output", target, (n, depth, h * block, w * block))
    crd = attributes.get("mode", "DCR") in ("CRD", b"CRD")
    split = (n, depth, block, block, h, w) if crd else (n, block, block, depth, h, w)
    order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
    own = contiguous_strides(split)
    sizes = tuple(split[axis] for axis in order)
    return [Move(source.ref, target.ref, sizes, tuple(own[axis] for axis in order), contiguous_strides(sizes))]


def _space_to_depth(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    n, c, h, w, block = _blocks(source, attributes)
    if h % block or w % block:
        raise ValueError(f"an image of {h} by {w} does not fall into blocks of {block} by {block}")
    of_shape("the output", target, (n, c * block * block, h // block, w // block))
    split = (n, c, h // block, block, w // block, block)
    crd = attributes.get("mode", "DCR") in ("CRD", b"CRD")
    order = (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4)
    own = contiguous_strides(split)
    sizes = tuple(split[axis] for axis in order)
    return [Move(source.ref, target.ref, sizes, tuple(own[axis] for axis in order), contiguous_strides(sizes))]


def _blocks(source: Operand, attributes: Attributes) -> tuple[int, int, int, int, int]:
    """Batch, channels, height and width of images, and the side of a block."""
    of_rank("the input", source, 4, 4)
    block = int(attributes["blocksize"])
    if block < 1:
        raise ValueError(f"blocks have a side of at least 1, not {block}")
    n, c, h, w = source.shape
    return n, c, h, w, block


MOVES: dict[str, Moves] = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _reshaped),
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Expand": _expand,
    "ConstantOfShape": _constant,
    "Tile": _tile,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
