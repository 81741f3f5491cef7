"""What each moving operator copies: index spaces with strides into the source and the target."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphopt_kernels.abi import Operand, Ref
from graphopt_kernels.bind.broadcast import broadcast_strides, contiguous_strides


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
    return [
        Move(
            source.ref,
            target.ref,
            tuple(source.shape[axis] for axis in order),
            tuple(own[axis] for axis in order),
            contiguous_strides(target.shape),
        )
    ]


def _concat(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    target = outputs[0]
    axis = axis_of(int(attributes["axis"]), len(target.shape))
    own, moves, place = contiguous_strides(target.shape), list[Move](), 0
    for slot in range(len(inputs)):
        source = required(inputs, slot)
        strides = contiguous_strides(source.shape)
        moves.append(Move(source.ref, target.ref, source.shape, strides, own, 0, place * own[axis]))
        place += source.shape[axis]
    return moves


def _split(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source = required(inputs, 0)
    axis = axis_of(int(attributes.get("axis", 0)), len(source.shape))
    own, moves, place = contiguous_strides(source.shape), list[Move](), 0
    for target in outputs:
        strides = contiguous_strides(target.shape)
        moves.append(Move(source.ref, target.ref, target.shape, own, strides, place * own[axis], 0))
        place += target.shape[axis]
    return moves


def _slice(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    rank = len(source.shape)
    if "starts" in attributes:  # before opset 10
        starts, axes, steps = list(attributes["starts"]), attributes.get("axes"), None
    else:
        starts, axes, steps = elements(inputs, 1) or [], elements(inputs, 3), elements(inputs, 4)
    chosen = list(range(len(starts))) if axes is None else [axis_of(int(a), rank) for a in axes]
    strides, offset = list(contiguous_strides(source.shape)), 0
    for i, axis in enumerate(chosen):
        size, step = source.shape[axis], 1 if steps is None else steps[i]
        start = int(starts[i]) + (size if starts[i] < 0 else 0)
        start = min(max(start, 0), size - 1) if step < 0 else min(max(start, 0), size)
        offset += start * strides[axis]
        strides[axis] *= step
    return [Move(source.ref, target.ref, target.shape, tuple(strides), contiguous_strides(target.shape), offset)]


def _expand(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    own = contiguous_strides(target.shape)
    return [Move(source.ref, target.ref, target.shape, broadcast_strides(source.shape, target.shape), own)]


def _tile(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    own, full = contiguous_strides(source.shape), contiguous_strides(target.shape)
    sizes, reads, writes = list[int](), list[int](), list[int]()
    for axis, size in enumerate(source.shape):
        repeats = target.shape[axis] // size if size else 0
        sizes += [repeats, size]
        reads += [0, own[axis]]
        writes += [full[axis] * size, full[axis]]
    return [Move(source.ref, target.ref, tuple(sizes), tuple(reads), tuple(writes))]


def _constant(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    return [_fill(outputs[0], attributes.get("value", np.float32(0)))]


def _fill(target: Operand, value: Any) -> Move:
    pattern = np.asarray(value).reshape(-1)[0].astype(target.dtype).tobytes()
    return Move(int.from_bytes(pattern, "little", signed=len(pattern) == 8), target.ref, (target.size,), (0,), (1,))


def _pad(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    """The fill first, everywhere, then the kept part; negative pads cut."""
    source, target = required(inputs, 0), outputs[0]
    rank = len(source.shape)
    pads = [int(p) for p in attributes["pads"]] if "pads" in attributes else elements(inputs, 1) or []
    axes = elements(inputs, 3)
    chosen = list(range(rank)) if axes is None else [axis_of(a, rank) for a in axes]
    before = dict(zip(chosen, pads[: len(chosen)], strict=True))
    own, full = contiguous_strides(source.shape), contiguous_strides(target.shape)
    sizes, read, write = list[int](), 0, 0
    for axis, size in enumerate(source.shape):
        lead = before.get(axis, 0)
        low, high = max(0, -lead), min(size, target.shape[axis] - lead)
        sizes.append(max(high - low, 0))
        read += low * own[axis]
        write += (low + lead) * full[axis]
    kept = Move(source.ref, target.ref, tuple(sizes), own, full, read, write)
    if math.prod(sizes) == target.size:
        return [kept]
    value = inputs[2] if len(inputs) > 2 else None
    if value is None:
        return [_fill(target, attributes.get("value", 0)), kept]
    return [Move(value.ref, target.ref, (target.size,), (0,), (1,)), kept]


def _depth_to_space(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    n, c, h, w = source.shape
    block = int(attributes["blocksize"])
    depth = c // (block * block)
    crd = attributes.get("mode", "DCR") in ("CRD", b"CRD")
    split = (n, depth, block, block, h, w) if crd else (n, block, block, depth, h, w)
    order = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
    own = contiguous_strides(split)
    sizes = tuple(split[axis] for axis in order)
    return [Move(source.ref, target.ref, sizes, tuple(own[axis] for axis in order), contiguous_strides(sizes))]


def _space_to_depth(inputs: Inputs, outputs: Sequence[Operand], attributes: Attributes) -> list[Move]:
    source, target = required(inputs, 0), outputs[0]
    n, c, h, w = source.shape
    block = int(attributes["blocksize"])
    split = (n, c, h // block, block, w // block, block)
    crd = attributes.get("mode", "DCR") in ("CRD", b"CRD")
    order = (0, 1, 3, 5, 2, 4) if crd else (0, 3, 5, 1, 2, 4)
    own = contiguous_strides(split)
    sizes = tuple(split[axis] for axis in order)
    return [Move(source.ref, target.ref, sizes, tuple(own[axis] for axis in order), contiguous_strides(sizes))]


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
