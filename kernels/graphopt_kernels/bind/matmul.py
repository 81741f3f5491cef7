"""Matrix products: MatMul and Gemm, with bias, residual and clip in one kernel.

C[batch, m, n] = clip(alpha·A[batch, m, k] · B[batch, k, n] + beta·bias + residual, low, high).

Inputs are (A, B, bias?, residual?): bias broadcasts to the output, residual has the output's shape.  Attributes beside
ONNX's own (transA, transB, alpha, beta): `activation` ("", "Relu" or "Clip" with `clip_low`, `clip_high`), and
`packed`, the slots whose operand is what `pack` gave (its shape is still the operator's).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Ref, Scratch, float_field
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape

OPERATORS = frozenset({"MatMul", "Gemm", "FusedMatMul"})
DTYPES = ("float32", "float64")
ACTIVATIONS = frozenset({"", "Relu", "Clip"})
"""What the attribute `activation` may be."""

PANEL_BYTES = 128
BATCH_RANK = 4
MOST_CALLS = 1 << 16
"""Products of one operator, each a call of its own."""

# fields of the argument block of `matmul`; strides in elements
A, B, C, BIAS, RESIDUAL, M, N, K = range(8)
A_ROW, A_COLUMN, B_ROW, PACKED, BIAS_ROW, BIAS_COLUMN, RESIDUAL_ROW, LOW, HIGH, BIAS_SCALE, BATCH = range(8, 19)
SIZES, A_BATCH, B_BATCH, BIAS_BATCH = (19 + i * BATCH_RANK for i in range(4))
"""Rows of BATCH_RANK: the batch dimensions, outermost first, and the stride of each operand along them."""
WORDS = 19 + 4 * BATCH_RANK

# fields of the argument block of `matmul_pack`
PACK_SOURCE, PACK_TARGET, PACK_K, PACK_N, PACK_ROW, PACK_COLUMN, PACK_COUNT, PACK_BATCH, PACK_SCALE = range(9)
PACK_WORDS = 9


def spec(dtype: str) -> KernelSpec:
    """The product for one dtype."""
    return KernelSpec.of("matmul", dtype=dtype)


def pack_spec(dtype: str) -> KernelSpec:
    """The packing of a B that is not constant."""
    return KernelSpec.of("matmul_pack", dtype=dtype)


def panel_columns(dtype: np.dtype) -> int:
    """Columns of one packed panel."""
    return PANEL_BYTES // dtype.itemsize


def pack_matrix(matrix: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """[..., k, n] as [..., ceil(n / panel), k, panel], scaled, the last panel padded with zeros."""
    *batch, k, n = matrix.shape
    panel = panel_columns(matrix.dtype)
    panels = -(-n // panel)
    padded = np.zeros((*batch, k, panels * panel), matrix.dtype)
    padded[..., :n] = matrix if scale == 1.0 else matrix * matrix.dtype.type(scale)
    return np.ascontiguousarray(np.moveaxis(padded.reshape(*batch, k, panels, panel), -2, -3))


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """The product and the packing for the dtype; None for other dtypes and activations."""
    known = {d.name for d in dtypes if d is not None}
    if op not in ("MatMul", "Gemm") or len(known) != 1 or not known <= set(DTYPES):
        return None
    if attributes.get("activation", "") not in ACTIVATIONS:
        return None
    dtype = known.pop()
    return (spec(dtype), pack_spec(dtype))


def pack(slot: int, value: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray | None:
    """The constant in an input slot in the layout that the kernel reads; None for all but B."""
    if slot != 1 or value.ndim < 2 or value.size == 0 or value.dtype.name not in DTYPES:
        return None
    matrix = value.swapaxes(-1, -2) if attributes.get("transB", 0) else value
    return pack_matrix(matrix, float(attributes.get("alpha", 1.0)))


def bounds(attributes: Mapping[str, Any]) -> tuple[float, float]:
    """The clip that an activation stands for."""
    match attributes.get("activation", ""):
        case "":
            return (-math.inf, math.inf)
        case "Relu":
            return (0.0, math.inf)
        case "Clip":
            return (float(attributes.get("clip_low", -math.inf)), float(attributes.get("clip_high", math.inf)))
        case other:
            raise ValueError(f"matrix products have no activation {other!r}")


@dataclass(frozen=True, slots=True)
class Product:
    """One product as the kernel sees it: addresses, sizes, strides in elements."""

    dtype: np.dtype
    a: Ref
    b: Ref
    c: Ref
    m: int
    n: int
    k: int
    a_strides: tuple[int, int]
    b_strides: tuple[int, int]
    packed: bool = False
    scale: float = 1.0
    bias: Ref | None = None
    bias_strides: tuple[int, int] = (0, 0)
    bias_scale: float = 1.0
    residual: Ref | None = None
    low: float = -math.inf
    high: float = math.inf
    sizes: tuple[int, ...] = ()
    a_batch: tuple[int, ...] = ()
    b_batch: tuple[int, ...] = ()
    bias_batch: tuple[int, ...] = ()


def launches(product: Product, scratch: Scratch) -> list[Launch]:
    """The launches of a product: B is packed first where that pays."""
    p = _folded(product)
    steps: list[Launch] = []
    direct = p.m <= DIRECT_ROWS and p.b_strides[1] == 1 and p.scale == 1.0
    b_batch, b = p.b_batch, p.b
    if not p.packed and not direct:
        b, b_batch, step = _packing(p, scratch)
        steps.append(step)
    batch = math.prod(p.sizes)
    pad = BATCH_RANK - len(p.sizes)
    residual_row = p.n if p.residual is not None else 0
    fields: list[Field] = [p.a, b, p.c, p.bias or 0, p.residual or 0, p.m, p.n, p.k, *p.a_strides]
    fields += [p.b_strides[0], int(p.packed or not direct), *p.bias_strides, residual_row]
    fields += [float_field(p.low), float_field(p.high), float_field(p.bias_scale), batch]
    for row, missing in ((p.sizes, 1), (p.a_batch, 0), (b_batch, 0), (p.bias_batch, 0)):
        fields += [missing] * pad + list(row or (0,) * len(p.sizes))
    steps.append(Launch(spec(p.dtype.name), tuple(fields), batch * p.m * p.n * max(p.k, 1)))
    return steps


def _folded(p: Product) -> Product:
    """One tall product instead of a batch of products with the same B."""
    if len(p.sizes) != 1 or p.b_batch != (0,) or p.a_strides != (p.k, 1) or p.a_batch != (p.m * p.k,):
        return p
    if p.bias is not None and p.bias_batch != (p.bias_strides[0] * p.m,):
        return p
    return replace(p, m=p.m * p.sizes[0], sizes=(), a_batch=(), b_batch=(), bias_batch=())


DIRECT_ROWS = 12
"""With at most so many rows a B that is read once is not worth packing."""


def _packing(p: Product, scratch: Scratch) -> tuple[Ref, tuple[int, ...], Launch]:
    """Where the packed B lies, its batch strides, and the launch that packs it."""
    panel = panel_columns(p.dtype)
    size = -(-p.n // panel) * panel * p.k
    used = [d for d, s in zip(p.sizes, p.b_batch, strict=True) if s != 0]
    count = math.prod(used)
    target = scratch(count * size * p.dtype.itemsize)
    strides, step = list[int](), size
    for d, s in zip(reversed(p.sizes), reversed(p.b_batch), strict=True):
        strides.append(step if s != 0 else 0)
        step *= d if s != 0 else 1
    # B's own batch is contiguous: it is walked as one dimension
    inner = min((s for s in p.b_batch if s != 0), default=0)
    fields: tuple[Field, ...] = (p.b, target, p.k, p.n, *p.b_strides, count, inner, float_field(p.scale))
    return target, tuple(reversed(strides)), Launch(pack_spec(p.dtype.name), fields, count * size * 2)


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """The launches of one MatMul or Gemm; ValueError where the shapes do not fit."""
    a, b, bias, residual = (*inputs, None, None)[:4]
    if a is None or b is None:
        raise ValueError("a matrix product needs two operands")
    (c,) = outputs
    of_rank("A", a, 1)
    of_rank("B", b, 1)
    for name, operand in (("B", b), ("the bias", bias), ("the residual", residual), ("the output", c)):
        of_dtype(name, operand, a.dtype)
    of_shape("the residual", residual, c.shape)
    gemm = attributes.get("op") == "Gemm"
    if gemm and float(attributes.get("beta", 1.0)) == 0.0:
        bias = None
    a_shape, b_shape = _shapes(a, b, attributes)
    m, k, n = a_shape[-2], a_shape[-1], b_shape[-1]
    if b_shape[-2] != k:
        raise ValueError(f"cannot multiply {a.shape} by {b.shape}: {k} columns meet {b_shape[-2]} rows")
    batch = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    kept = (*((m,) if len(a.shape) > 1 else ()), *((n,) if len(b.shape) > 1 else ()))
    of_shape("the output", c, (*batch, *kept))
    if c.size == 0:
        return []
    trans_a, trans_b = (bool(attributes.get(name, 0)) for name in ("transA", "transB"))
    packed = 1 in attributes.get("packed", ())
    panel = panel_columns(a.dtype)
    b_size = -(-n // panel) * panel * k if packed else k * n
    full = (*batch, m, n)
    bias_strides = (0,) * len(full) if bias is None else _strides(_lifted(bias.shape, c.shape, full), full)
    rows = [
        _batch_strides(a_shape[:-2], m * k, batch),
        _batch_strides(b_shape[:-2], b_size, batch),
        bias_strides[:-2],
    ]
    sizes, rows = _collapse(batch, rows)
    low, high = bounds(attributes)
    product = Product(
        a.dtype, a.ref, b.ref, c.ref, m, n, k,
        a_strides=(1, m) if trans_a else (k, 1),
        b_strides=(1, k) if trans_b else (n, 1),
        packed=packed,
        scale=1.0 if packed else float(attributes.get("alpha", 1.0)),
        bias=None if bias is None else bias.ref,
        bias_strides=(bias_strides[-2], bias_strides[-1]),
        bias_scale=float(attributes.get("beta", 1.0)) if gemm else 1.0,
        residual=None if residual is None else residual.ref,
        low=low, high=high, sizes=sizes, a_batch=rows[0], b_batch=rows[1], bias_batch=rows[2],
    )  # fmt: skip
    return [launch for part in _peeled(product) for launch in launches(part, scratch)]


def _peeled(p: Product) -> list[Product]:
    """Products of at most BATCH_RANK batch dimensions: the outer ones, if there are more, become calls of their own."""
    if len(p.sizes) <= BATCH_RANK:
        return [p]
    if math.prod(p.sizes[:-BATCH_RANK]) > MOST_CALLS:
        raise ValueError(f"a batch of {list(p.sizes)} needs more than {MOST_CALLS} products of {BATCH_RANK} dimensions")
    size = p.dtype.itemsize
    inner = math.prod(p.sizes[1:]) * p.m * p.n
    parts = list[Product]()
    for i in range(p.sizes[0]):
        part = replace(
            p,
            a=p.a.moved(i * p.a_batch[0] * size),
            b=p.b.moved(i * p.b_batch[0] * size),
            c=p.c.moved(i * inner * size),
            bias=None if p.bias is None else p.bias.moved(i * p.bias_batch[0] * size),
            residual=None if p.residual is None else p.residual.moved(i * inner * size),
            sizes=p.sizes[1:], a_batch=p.a_batch[1:], b_batch=p.b_batch[1:], bias_batch=p.bias_batch[1:],
        )  # fmt: skip
        parts += _peeled(part)
    return parts


def _shapes(a: Operand, b: Operand, attributes: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of at least two dimensions, transpositions done; vectors become a row and a column."""
    a_shape = a.shape if len(a.shape) > 1 else (1, *a.shape)
    b_shape = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    if attributes.get("transA", 0):
        a_shape = (*a_shape[:-2], a_shape[-1], a_shape[-2])
    if attributes.get("transB", 0):
        b_shape = (*b_shape[:-2], b_shape[-1], b_shape[-2])
    return a_shape, b_shape


def _lifted(shape: tuple[int, ...], output: tuple[int, ...], full: tuple[int, ...]) -> tuple[int, ...]:
    """The bias's shape beside [batch, m, n], where the output may lack m or n (a vector was an operand)."""
    shape = (1,) * (len(output) - len(shape)) + tuple(shape)
    if len(output) == len(full):
        return shape
    if not output:
        return (1,) * len(full)
    return (*shape[:-1], 1, shape[-1]) if output[-1] == full[-1] and full[-2] == 1 else (*shape, 1)


def _strides(shape: tuple[int, ...], full: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a contiguous array broadcast to `full`; ValueError when it cannot be."""
    strides, step = list[int](), 1
    for have, want in zip(reversed(shape), reversed(full), strict=True):
        if have not in (1, want):
            raise ValueError(f"cannot broadcast {list(shape)} to {list(full)}")
        strides.append(step if have == want and want != 1 else 0)
        step *= have
    return tuple(reversed(strides))


def _batch_strides(shape: tuple[int, ...], matrix: int, batch: tuple[int, ...]) -> tuple[int, ...]:
    lifted = (1,) * (len(batch) - len(shape)) + tuple(shape)
    return tuple(s * matrix for s in _strides(lifted, batch))


def _collapse(sizes: tuple[int, ...], rows: list[tuple[int, ...]]) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The same walk with fewer dimensions: neighbours that every operand steps through evenly become one."""
    kept: list[tuple[int, list[int]]] = []
    for size, strides in zip(sizes, zip(*rows, strict=True), strict=True):
        if size == 1:
            continue
        if kept and all(old == new * size for old, new in zip(kept[-1][1], strides, strict=True)):
            kept[-1] = (kept[-1][0] * size, list(strides))
        else:
            kept.append((size, list(strides)))
    return tuple(s for s, _ in kept), [tuple(strides[i] for _, strides in kept) for i in range(len(rows))]
