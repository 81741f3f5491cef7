"""MaxPool, AveragePool and LpPool (global pooling is a reduction)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape
from graphopt_kernels.bind.moves import required

_DTYPES = {
    "MaxPool": ("float32", "float64", "int8", "uint8"),
    "AveragePool": ("float32", "float64"),
    "LpPool": ("float32", "float64"),
}
OPERATORS = frozenset(_DTYPES)


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """One spec; None for other dtypes, more than three spatial axes, and norms other than 1 and 2."""
    dtype = dtypes[0].name if dtypes and dtypes[0] is not None else ""
    rank = len(attributes.get("kernel_shape", ()))
    if dtype not in _DTYPES[op] or not 1 <= rank <= 3 or attributes.get("p", 2) not in (1, 2):
        return None
    return (_spec(op, dtype, attributes),)


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch; where `ceil_mode` lets a window reach beyond the padding, what lies there does not count."""
    op, source, target = str(attributes["op"]), required(inputs, 0), outputs[0]
    of_rank("the input", source, 3, 5)
    of_rank("the output", target, len(source.shape), len(source.shape))
    of_shape("the output", target, (*source.shape[:2], *target.shape[2:]))
    of_dtype("the output", target, source.dtype)
    for indices in outputs[1:]:
        of_shape("the indices", indices, target.shape)
        of_dtype("the indices", indices, "int64")
    if target.size == 0:
        return []
    rank = len(source.shape) - 2
    kernel = [int(k) for k in attributes["kernel_shape"]]
    strides, dilations = ([int(v) for v in attributes.get(k) or [1] * rank] for k in ("strides", "dilations"))
    if not len(kernel) == len(strides) == len(dilations) == rank:
        raise ValueError(f"a kernel of {kernel} does not fit {rank} spatial axes")
    before, after = padding(source.shape[2:], target.shape[2:], kernel, strides, dilations, attributes)
    extra: Field = outputs[1].ref if len(outputs) > 1 else 0
    counts = int(attributes.get("count_include_pad", 0))
    fields: list[Field] = [math.prod(source.shape[:2]), source.ref, target.ref, extra]
    fields += [int(attributes.get("storage_order", 0)), counts]
    fields += [1, 1, 1, 1, 1, 0, 0] * (3 - rank)
    for axis in range(rank):
        fields += [source.shape[2 + axis], target.shape[2 + axis], kernel[axis], strides[axis], dilations[axis]]
        fields += [before[axis], after[axis]]
    spec = _spec(op, source.dtype.name, attributes)
    return [Launch(spec, tuple(fields), target.size * math.prod(kernel))]


def padding(
    sizes: Sequence[int],
    outputs: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    attributes: Mapping[str, Any],
) -> tuple[list[int], list[int]]:
    """What lies before and behind each axis, as `pads` or `auto_pad` say."""
    auto, rank = attributes.get("auto_pad", "NOTSET"), len(sizes)
    auto = auto.decode() if isinstance(auto, bytes) else str(auto)
    if not auto.startswith("SAME"):
        pads = [0] * (2 * rank) if auto == "VALID" else [int(p) for p in attributes.get("pads") or [0] * (2 * rank)]
        if len(pads) != 2 * rank:
            raise ValueError(f"{len(pads)} pads do not fit {rank} spatial axes, each of which needs two")
        return pads[:rank], pads[rank:]
    before, after = list[int](), list[int]()
    for size, count, k, stride, dilation in zip(sizes, outputs, kernel, strides, dilations, strict=True):
        total = max((count - 1) * stride + (k - 1) * dilation + 1 - size, 0)
        less, more = total // 2, total - total // 2
        before.append(less if auto == "SAME_UPPER" else more)
        after.append(more if auto == "SAME_UPPER" else less)
    return before, after


def _spec(op: str, dtype: str, attributes: Mapping[str, Any]) -> KernelSpec:
    name = f"LpPool{int(attributes.get('p', 2))}" if op == "LpPool" else op
    return KernelSpec.of("pooling", op=name, dtype=dtype, revision=2)
