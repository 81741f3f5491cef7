"""The kernels that `python -m bench.kernels` measures: one operator on one set of shapes each.

A case names an ONNX operator; the harness finds the family that serves it, the reference of ONNX Runtime is a model of
that one node, and numpy's is a function where numpy has one.  Other families add their cases to CASES.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement: the operator, its inputs' shapes, and what it costs."""

    name: str
    op: str
    shapes: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    flops: int
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    constants: frozenset[int] = frozenset()
    """Slots that hold constants, as weights do: packed beforehand, here and by ONNX Runtime."""
    numpy: Callable[..., Any] | None = None
    values: Mapping[int, np.ndarray] = field(default_factory=dict[int, np.ndarray])
    """Inputs that are not random float32 numbers (shapes, axes)."""

    @property
    def nbytes(self) -> int:
        """What must at least be read and written, in bytes."""
        return 4 * (sum(math.prod(s) for s in self.shapes) + math.prod(self.output))

    def inputs(self) -> list[np.ndarray]:
        """The same numbers on every run."""
        rng = np.random.default_rng(0)
        made = [rng.standard_normal(shape).astype(np.float32) for shape in self.shapes]
        return [self.values.get(i, x) for i, x in enumerate(made)]


def product(m: int, n: int, k: int, *, constant: bool = True, batch: tuple[int, ...] = ()) -> Case:
    """MatMul of [batch, m, k] by constant weights [k, n], or by activations [batch, k, n]."""
    b = (k, n) if constant else (*batch, k, n)
    name = "×".join(map(str, (*batch, m, n, k))) + (" weights" if constant else " activations")
    flops = 2 * math.prod(batch) * m * n * k
    slots = frozenset({1}) if constant else frozenset[int]()
    return Case(f"MatMul {name}", "MatMul", ((*batch, m, k), b), (*batch, m, n), flops, {}, slots, np.matmul)


def convolution(
    size: tuple[int, ...], weights: tuple[int, ...], stride: int = 1, pad: int | None = None, group: int = 1
) -> Case:
    """Conv with constant weights; the pad keeps the size where none is given."""
    rank = len(size) - 2
    pad = weights[2] // 2 if pad is None else pad
    out = tuple((s + 2 * pad - k) // stride + 1 for s, k in zip(size[2:], weights[2:], strict=True))
    attributes = {
        "strides": (stride,) * rank, "pads": (pad,) * (2 * rank), "dilations": (1,) * rank, "group": group,
        "kernel_shape": weights[2:],
    }  # fmt: skip
    output = (size[0], weights[0], *out)
    kind = "depthwise" if group > 1 and weights[1] == 1 else f"{group} groups" if group > 1 else ""
    text = f"{size[1]}→{weights[0]} {'×'.join(map(str, weights[2:]))}/{stride} at {'×'.join(map(str, size[2:]))}"
    flops = 2 * math.prod(output) * math.prod(weights[1:])
    name = f"Conv {text} {kind}".rstrip() + (f" ×{size[0]}" if size[0] > 1 else "")
    return Case(name, "Conv", (size, weights), output, flops, attributes, frozenset({1}))


def elementwise(op: str, shape: tuple[int, ...], function: Callable[..., Any], arity: int, flops: int = 1) -> Case:
    """One elementwise operator on arrays of one shape; `flops` counts operations an element."""
    return Case(
        f"{op} {'×'.join(map(str, shape))}", op, (shape,) * arity, shape, flops * math.prod(shape), numpy=function
    )


def _softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


CASES: Sequence[Case] = (
    *(product(s, s, s) for s in (64, 128, 256, 384, 512, 768, 1024)),
    product(512, 512, 512, constant=False),
    product(128, 768, 768),
    product(128, 3072, 768),
    product(128, 768, 3072),
    product(16, 768, 768),
    product(1, 1024, 1024),
    product(2048, 64, 64),
    product(128, 128, 64, constant=False, batch=(12,)),
    convolution((1, 3, 224, 224), (64, 3, 7, 7), 2, 3),
    convolution((1, 64, 56, 56), (64, 64, 1, 1)),
    convolution((1, 64, 56, 56), (64, 64, 3, 3)),
    convolution((1, 128, 28, 28), (128, 128, 3, 3)),
    convolution((1, 256, 14, 14), (256, 256, 3, 3)),
    convolution((1, 512, 7, 7), (512, 512, 3, 3)),
    convolution((1, 1024, 14, 14), (256, 1024, 1, 1)),
    convolution((1, 512, 7, 7), (2048, 512, 1, 1)),
    convolution((1, 16, 8, 8), (32, 16, 3, 3)),
    convolution((64, 32, 8, 8), (32, 32, 3, 3)),
    convolution((1, 32, 112, 112), (32, 1, 3, 3), group=32),
    convolution((1, 576, 14, 14), (576, 1, 3, 3), group=576),
    convolution((1, 16, 3000), (64, 16, 5)),
    elementwise("Add", (1024, 1024), np.add, 2),
    elementwise("Exp", (256, 1024), np.exp, 1, 20),
    Case("Softmax 128×1024", "Softmax", ((128, 1024),), (128, 1024), 128 * 1024 * 24, {"axis": -1}, numpy=_softmax),
)
