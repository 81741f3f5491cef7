"""Layer, RMS, instance and group normalisation (BatchNormalization is elementwise)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import broadcast_strides, contiguous_strides
from graphopt_kernels.bind.copy import copy_spec, launch_of
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape, of_size
from graphopt_kernels.bind.moves import Move, axis_of, required

OPERATORS = frozenset(("LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization"))
_BY_ELEMENTS = ("LayerNormalization", "RMSNormalization")


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """The kernel, and the copy that spreads a scale which does not have the row's shape; float32 and float64 alone."""
    names = {dtype.name for dtype in dtypes if dtype is not None}
    if len(names) != 1 or not names <= {"float32", "float64"}:
        return None
    dtype = names.pop()
    if attributes.get("stash_type", 1) != 1:
        return None
    if op == "GroupNormalization" and dtype == "float64" and version >= 21:
        return None  # its first stage is computed in float32
    biased = len(dtypes) > 2 and dtypes[2] is not None
    size = np.dtype(dtype).itemsize
    return (_spec(op, dtype, biased), copy_spec(size))


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch, with copies before it where scale or bias have to be spread.  The output may be the input."""
    op, source = str(attributes["op"]), required(inputs, 0)
    of_shape("the output", outputs[0], source.shape)
    scale = required(inputs, 1)
    bias = inputs[2] if len(inputs) > 2 else None
    for name, operand in (("the scale", scale), ("the bias", bias), ("the output", outputs[0])):
        of_dtype(name, operand, source.dtype)
    if source.size == 0:
        return []
    launches: list[Launch] = []
    if op in _BY_ELEMENTS:
        axis = axis_of(int(attributes.get("axis", -1)), len(source.shape))
        shape = source.shape[axis:]
        segment = period = 1
        named = (("scale", scale), ("bias", bias))
        operands = [None if v is None else _spread(name, v, shape, scratch, launches) for name, v in named]
        rows = math.prod(source.shape[:axis])
    else:
        of_rank("the input", source, 2)
        batch, channels = source.shape[:2]
        groups = channels if op == "InstanceNormalization" else int(attributes["num_groups"])
        if groups < 1 or channels % groups:
            raise ValueError(f"{channels} channels do not fall into {groups} groups")
        of_size("the scale", scale, channels, groups)
        of_size("the bias", bias, scale.size)
        rows, period = batch * groups, scale.size
        segment = source.size // (batch * scale.size)
        operands = [None if v is None else v.ref for v in (scale, bias)]
    epsilon = float(np.float32(attributes.get("epsilon", 1e-5)))
    for told in outputs[1:]:
        of_size("the mean or inverse deviation", told, rows)
        of_dtype("the mean or inverse deviation", told, "float32")
    extra: list[Field] = [outputs[i].ref if len(outputs) > i else 0 for i in (1, 2)]
    fields: list[Field] = [rows, source.size // rows, segment, period, source.ref, outputs[0].ref]
    fields += [0 if ref is None else ref for ref in operands]
    spec = _spec(op, source.dtype.name, bias is not None)
    return [*launches, Launch(spec, (*fields, *extra, epsilon), 8 * source.size)]


def _spread(name: str, operand: Operand, shape: tuple[int, ...], scratch: Scratch, launches: list[Launch]) -> Field:
    if operand.shape == shape:
        return operand.ref
    if len(operand.shape) > len(shape) and math.prod(operand.shape[: len(operand.shape) - len(shape)]) == 1:
        operand = Operand(operand.dtype, operand.shape[len(operand.shape) - len(shape) :], operand.ref)
    size = operand.dtype.itemsize
    room = scratch(math.prod(shape) * size)
    strides = broadcast_strides(operand.shape, shape, f"the {name}")
    launches.append(launch_of(Move(operand.ref, room, shape, strides, contiguous_strides(shape)), size))
    return room


def _spec(op: str, dtype: str, biased: bool) -> KernelSpec:
    affine = "elements" if op in _BY_ELEMENTS else "segments"
    centre = int(op != "RMSNormalization")
    return KernelSpec.of("normalization", dtype=dtype, centre=centre, affine=affine, biased=int(biased))
