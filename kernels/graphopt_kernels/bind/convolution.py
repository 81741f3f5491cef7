"""Convolutions over one to three spatial dimensions, channels before space: Conv and ConvTranspose.

Y[n, o, ...] = clip(conv(X[n, c, ...], W) + bias[o] + residual, low, high), grouped, strided, dilated, padded.

Inputs are (X, W, bias?, residual?).  Attributes are ONNX's (strides, pads, dilations, group, auto_pad, output_padding,
output_shape) and those of docs/add-a-kernel.md: `activation`, `packed`, `threads`.  Three kernels serve them:
`convolution` multiplies W by panels of X that it gathers as it goes, `depthwise` takes one input channel per group, and
a transposed convolution is a matrix product whose columns `col2im` adds up.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Ref, Scratch, float_field
from graphopt_kernels.bind import matmul
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape

OPERATORS = frozenset({"Conv", "ConvTranspose"})
DTYPES = ("float32", "float64")
ACTIVATIONS = matmul.ACTIVATIONS
RANK = 3

# fields of the argument blocks of `convolution` and `depthwise`; strides in elements
X, W, Y, BIAS, RESIDUAL, SCRATCH, MEMBERS, MEMBER_BYTES = range(8)
N, GROUPS, CHANNELS, OUTPUTS, W_ROW, C_BLOCK, PANELS, LOW, HIGH = range(8, 17)
"""CHANNELS and OUTPUTS are those of one group; W_ROW the length of a row of W; C_BLOCK the channels gathered at a time,
for
PANELS panels."""
IN, OUT, KERNEL, STRIDE, PAD, DILATION = (17 + i * RANK for i in range(6))
"""Rows of RANK, padded in front with sizes of 1."""
WORDS = 17 + 6 * RANK

# fields of `col2im`, beside IN (the product's pixels), OUT, KERNEL, STRIDE, PAD, DILATION, BIAS, RESIDUAL, Y, N and
# the bounds
COLUMNS, ALL_OUTPUTS = X, OUTPUTS

K_BLOCK = 768
"""Rows of a panel that are gathered at a time."""
PANELS_BYTES = 384 * 1024
"""What the panels of one member may take: with a tile of weights they stay in the second-level cache."""
MOST_THREADS = 64


@dataclass(frozen=True, slots=True)
class Geometry:
    """The spatial side of a convolution, in RANK dimensions."""

    size: tuple[int, ...]
    out: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    """At the beginning of each dimension."""
    dilation: tuple[int, ...]

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        return math.prod(self.kernel)

    @property
    def pixels(self) -> int:
        """Positions of the output."""
        return math.prod(self.out)

    @property
    def fields(self) -> list[Field]:
        """The rows IN to DILATION of a block."""
        return [*self.size, *self.out, *self.kernel, *self.stride, *self.pad, *self.dilation]


def spec(kernel: str, dtype: str) -> KernelSpec:
    """The machine code of `convolution`, `depthwise` or `col2im` for one dtype; operands lie channels before space."""
    return KernelSpec.of(kernel, dtype=dtype, layout="nchw")


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """The kernels that may be launched; None for other dtypes and activations, or more than three dimensions."""
    known = {d.name for d in dtypes if d is not None}
    if op not in OPERATORS or len(known) != 1 or not known <= set(DTYPES):
        return None
    rank = len(attributes.get("kernel_shape", attributes.get("strides", ())))
    if attributes.get("activation", "") not in ACTIVATIONS or rank > RANK:
        return None
    dtype = known.pop()
    if op == "ConvTranspose":
        return (matmul.spec(dtype), matmul.pack_spec(dtype), spec("col2im", dtype))
    if int(attributes.get("group", 1)) == 1:
        return (spec("convolution", dtype),)
    return (spec("convolution", dtype), spec("depthwise", dtype))


def row_length(k: int) -> int:
    """Elements from one row of packed weights to the next: rows a multiple of a page apart would evict each other."""
    return k if k < 256 else -(-k // 16) * 16 + 16


def pack(slot: int, value: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray | None:
    """Constant weights with their rows apart as the kernel likes; None for other slots and ConvTranspose."""
    if slot != 1 or attributes.get("op") == "ConvTranspose" or value.dtype.name not in DTYPES or value.size == 0:
        return None
    outputs, k = value.shape[0], math.prod(value.shape[1:])
    rows = np.zeros((outputs, row_length(k)), value.dtype)
    rows[:, :k] = value.reshape(outputs, k)
    return rows


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """The launches of one Conv or ConvTranspose; ValueError where the shapes do not fit."""
    x, w, bias, residual = (*inputs, None, None)[:4]
    if x is None or w is None:
        raise ValueError("a convolution needs an input and weights")
    (y,) = outputs
    for name, operand in (("the weights", w), ("the bias", bias), ("the residual", residual), ("the output", y)):
        of_dtype(name, operand, x.dtype)
    if len(x.shape) != len(w.shape) or not 3 <= len(x.shape) <= 2 + RANK:
        raise ValueError(f"cannot convolve {x.shape} with {w.shape}: both need one to {RANK} spatial dimensions")
    of_rank("the output", y, len(x.shape), len(x.shape))
    of_shape("the bias", bias, y.shape[1:2])
    of_shape("the residual", residual, y.shape)
    if int(attributes.get("group", 1)) < 1:
        raise ValueError(f"channels fall into at least one group, not {attributes['group']}")
    if attributes.get("op") == "ConvTranspose":
        return _transposed(x, w, bias, residual, y, attributes, scratch)
    return _convolution(x, w, bias, residual, y, attributes, scratch)


def _convolution(
    x: Operand,
    w: Operand,
    bias: Operand | None,
    residual: Operand | None,
    y: Operand,
    attributes: Mapping[str, Any],
    scratch: Scratch,
) -> list[Launch]:
    group = int(attributes.get("group", 1))
    channels, all_outputs = w.shape[1], w.shape[0]
    if channels * group != x.shape[1] or all_outputs % group:
        raise ValueError(f"{group} groups of weights {w.shape} do not fit an input of {x.shape[1]} channels")
    shape = geometry(x.shape[2:], w.shape[2:], attributes)
    if y.shape != (x.shape[0], all_outputs, *_unlifted(shape.out, len(x.shape) - 2)):
        raise ValueError(f"a convolution of {x.shape} by {w.shape} does not give {y.shape}")
    if y.size == 0:
        return []
    k = channels * shape.taps
    w_row = row_length(k) if 1 in attributes.get("packed", ()) else k
    dtype = x.dtype
    low, high = matmul.bounds(attributes)
    per_group = all_outputs // group
    members, member_bytes, c_block, panels = 0, 0, 0, 0
    threads = int(attributes.get("threads", min(os.cpu_count() or 1, MOST_THREADS)))
    room: int | Ref = 0
    depthwise = channels == 1 and group > 1 and per_group <= 4
    if not depthwise:
        shape = _flat(shape)
        members = threads
        c_block = min(channels, max(1, K_BLOCK // shape.taps))
        panel_bytes = c_block * shape.taps * matmul.PANEL_BYTES
        every = -(-shape.pixels // matmul.panel_columns(dtype))
        panels = max(1, min(every, PANELS_BYTES // max(panel_bytes, 1)))
        member_bytes = panels * panel_bytes
        room = scratch(members * member_bytes)
    fields: list[Field] = [x.ref, w.ref, y.ref, _ref(bias), _ref(residual), room, members, member_bytes]
    fields += [x.shape[0], group, channels, per_group, w_row, c_block, panels, float_field(low), float_field(high)]
    name = "depthwise" if depthwise else "convolution"
    work = x.shape[0] * all_outputs * shape.pixels * max(k, 1)
    return [Launch(spec(name, dtype.name), tuple(fields + shape.fields), work)]


def _transposed(
    x: Operand,
    w: Operand,
    bias: Operand | None,
    residual: Operand | None,
    y: Operand,
    attributes: Mapping[str, Any],
    scratch: Scratch,
) -> list[Launch]:
    group = int(attributes.get("group", 1))
    batch, rank = x.shape[0], len(x.shape) - 2
    channels, per_group = x.shape[1] // group, w.shape[1]
    if w.shape[0] != x.shape[1] or x.shape[1] % group:
        raise ValueError(f"{group} groups of transposed weights {w.shape} do not fit {x.shape[1]} channels")
    of_shape("the output", y, (batch, per_group * group, *y.shape[2:]))
    if y.size == 0:
        return []
    strides, dilations = _numbers(attributes, "strides", rank, 1), _numbers(attributes, "dilations", rank, 1)
    out = y.shape[2:]
    begins = transposed_pads(x.shape[2:], w.shape[2:], out, strides, dilations, attributes)
    shape = Geometry(
        _lift(x.shape[2:], 1),
        _lift(out, 1),
        _lift(w.shape[2:], 1),
        _lift(strides, 1),
        _lift(begins, 0),
        _lift(dilations, 1),
    )
    m, n, k = per_group * shape.taps, math.prod(x.shape[2:]), channels
    dtype = x.dtype
    columns = scratch(batch * group * m * n * dtype.itemsize)
    product = matmul.Product(
        dtype, w.ref, x.ref, columns, m, n, k,
        a_strides=(1, m), b_strides=(n, 1), sizes=(batch, group), a_batch=(0, k * m), b_batch=(group * k * n, k * n),
        bias_batch=(0, 0),
    )  # fmt: skip
    low, high = matmul.bounds(attributes)
    fields: list[Field] = [columns, 0, y.ref, _ref(bias), _ref(residual), 0, 0, 0]
    fields += [batch, 1, 0, y.shape[1], 0, 0, 0, float_field(low), float_field(high), *shape.fields]
    work = y.size + batch * group * m * n
    steps = matmul.launches(product, scratch) if m * n > 0 else []
    return [*steps, Launch(spec("col2im", dtype.name), tuple(fields), work)]


def geometry(size: Sequence[int], kernel: Sequence[int], attributes: Mapping[str, Any]) -> Geometry:
    """The geometry that ONNX's attributes give; ValueError when the kernel does not fit into the padded input."""
    rank = len(size)
    strides, dilations = _numbers(attributes, "strides", rank, 1), _numbers(attributes, "dilations", rank, 1)
    pads = list(_numbers(attributes, "pads", 2 * rank, 0))
    auto = attributes.get("auto_pad", "NOTSET")
    if auto == "VALID":
        pads = [0] * (2 * rank)
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        for d in range(rank):
            reach = (-(-size[d] // strides[d]) - 1) * strides[d] + dilations[d] * (kernel[d] - 1) + 1
            total = max(reach - size[d], 0)
            pads[d] = total // 2 if auto == "SAME_UPPER" else -(-total // 2)
            pads[rank + d] = total - pads[d]
    out = list[int]()
    for d in range(rank):
        spare = size[d] + pads[d] + pads[rank + d] - dilations[d] * (kernel[d] - 1) - 1
        if spare < 0:
            raise ValueError(
                f"a kernel of {tuple(kernel)} does not fit into an input of {tuple(size)} with pads {pads}"
            )
        out.append(spare // strides[d] + 1)
    return Geometry(
        _lift(size, 1), _lift(out, 1), _lift(kernel, 1), _lift(strides, 1), _lift(pads[:rank], 0), _lift(dilations, 1)
    )


def transposed_pads(
    size: Sequence[int],
    kernel: Sequence[int],
    out: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    attributes: Mapping[str, Any],
) -> list[int]:
    """How much of the full result ConvTranspose cuts off at each beginning, given the output's size."""
    rank = len(size)
    auto = attributes.get("auto_pad", "NOTSET")
    if auto == "NOTSET" and "output_shape" not in attributes:
        return list(_numbers(attributes, "pads", 2 * rank, 0))[:rank]
    padding = _numbers(attributes, "output_padding", rank, 0)
    begins = list[int]()
    for d in range(rank):
        full = strides[d] * (size[d] - 1) + padding[d] + (kernel[d] - 1) * dilations[d] + 1
        total = max(full - out[d], 0)
        begins.append(total - total // 2 if auto != "SAME_UPPER" else total // 2)
    return begins


def _flat(shape: Geometry) -> Geometry:
    """A kernel of one tap and unit stride sees the image as one long row."""
    plain = shape.taps == 1 and max(shape.stride) == 1 and max(shape.pad) == 0 and shape.size == shape.out
    if not plain:
        return shape
    row = (1,) * (RANK - 1) + (shape.pixels,)
    return Geometry(row, row, shape.kernel, shape.stride, shape.pad, shape.dilation)


def _numbers(attributes: Mapping[str, Any], name: str, count: int, default: int) -> tuple[int, ...]:
    given = tuple(int(x) for x in attributes.get(name) or ())
    if len(given) not in (0, count):
        raise ValueError(f"the attribute {name} has {len(given)} numbers where {count} are expected")
    return given or (default,) * count


def _lift(row: Sequence[int], missing: int) -> tuple[int, ...]:
    return (missing,) * (RANK - len(row)) + tuple(row)


def _unlifted(row: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return row[RANK - rank :]


def _ref(operand: Operand | None) -> int | Ref:
    return 0 if operand is None else operand.ref
