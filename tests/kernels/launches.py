"""Valid calls of every kernel family, in shapes that reach the ends of vectors, tiles, panels and teams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from graphopt_kernels.load import Library
from graphopt_kernels.targets import host_targets
from tests.kernels import harness

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One operator on arrays: what `harness.bind` takes."""

    family: str
    op: str
    inputs: tuple[np.ndarray | None, ...]
    outputs: tuple[tuple[Any, Shape], ...]
    attributes: dict[str, Any] = field(default_factory=dict[str, Any])
    version: int = 22
    known: tuple[int, ...] = ()
    pack: bool = False

    def bind(self, **more: Any) -> harness.Call:
        """The case, bound."""
        return harness.bind(
            self.family,
            self.op,
            self.inputs,
            self.outputs,
            self.attributes,
            version=self.version,
            known=self.known,
            pack=self.pack,
            **more,
        )

    def __str__(self) -> str:
        shapes = " ".join("x".join(map(str, x.shape)) or "1" for x in self.inputs if x is not None)
        return f"{self.op} {shapes} {self.attributes}{' packed' if self.pack else ''}"


def numbers(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    """Small numbers, the same each time."""
    return np.random.default_rng(sum(shape)).integers(1, 5, shape).astype(dtype)


@cache
def every_case() -> list[Case]:
    """All of them."""
    return [*products(), *convolutions(), *moves(), *rows(), *pools(), *picks()]


@cache
def library() -> Library:
    """The code of all cases, linked once."""
    return harness.library_of(tuple(sorted({s for case in every_case() for s in case.bind().specs})), host_targets()[0])


def run(call: harness.Call, team: int) -> None:
    """Make the call's launches, each member in turn, in memory that is cut down to what they say they touch."""
    call.memory.settle(call.launches)
    for launch in call.launches:
        block = call.memory.block(launch)
        for member in range(team):
            library().function(launch.symbol)(block.ctypes.data, member, team)


def products() -> Iterator[Case]:
    """Matrix products."""
    for a, b, c, pack in (
        ((1, 5), (5, 33), (1, 33), True),
        ((13, 7), (7, 65), (13, 65), False),
        ((13, 7), (7, 65), (13, 65), True),
        ((2, 3, 4, 5), (2, 1, 5, 6), (2, 3, 4, 6), False),
        ((2, 3, 30, 5), (3, 5, 6), (2, 3, 30, 6), True),
        ((2, 1, 2, 1, 2, 14, 3), (1, 2, 1, 2, 1, 3, 4), (2, 2, 2, 2, 2, 14, 4), False),
        ((4, 0), (0, 3), (4, 3), False),
        ((5,), (5, 3), (3,), False),
    ):
        yield Case("matmul", "MatMul", (numbers(*a), numbers(*b)), ((np.float32, c),), pack=pack)
        addends = (numbers(c[-1]), numbers(*c))
        yield Case("matmul", "MatMul", (numbers(*a), numbers(*b), *addends), ((np.float32, c),), pack=pack)
    for bias in ((33,), (14, 1), (1,), (14, 33)):
        inputs = (numbers(6, 14, dtype="f8"), numbers(33, 6, dtype="f8"), numbers(*bias, dtype="f8"))
        yield Case("matmul", "Gemm", inputs, (("f8", (14, 33)),), {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0})
    for a, b, c in (((2, 3, 300), (300, 33), (2, 3, 33)), ((2, 2, 5, 9), (2, 1, 9, 4), (2, 2, 5, 4))):
        inputs = (numbers(*a, dtype="u1"), numbers(*b, dtype="i1"), numbers(1, dtype="u1"), numbers(c[-1], dtype="i1"))
        yield Case("matmul_integer", "MatMulInteger", inputs, (("i4", c),))


def convolutions() -> Iterator[Case]:
    """Convolutions of every kind."""
    for x, w, y, attributes, pack in (
        ((2, 3, 9, 40), (5, 3, 3, 3), (2, 5, 9, 40), {"pads": (1, 1, 1, 1)}, True),
        ((2, 3, 9, 40), (5, 3, 3, 3), (2, 5, 4, 13), {"strides": (2, 3)}, False),
        ((1, 300, 5), (13, 300, 5), (1, 13, 3), {"pads": (1, 1)}, True),
        ((1, 4, 6, 6), (8, 2, 1, 1), (1, 8, 6, 6), {"group": 2}, False),
        ((1, 2, 3, 4, 5), (2, 2, 2, 2, 2), (1, 2, 2, 3, 4), {}, False),
        ((1, 6, 7, 37), (6, 1, 3, 3), (1, 6, 7, 37), {"group": 6, "pads": (1, 1, 1, 1)}, True),
        ((2, 3, 11, 20), (6, 1, 5, 5), (2, 6, 4, 8), {"group": 3, "strides": (2, 2), "pads": (0, 0, 0, 0)}, False),
        ((2, 3, 11, 20), (6, 1, 2, 4), (2, 6, 10, 6), {"group": 3, "strides": (1, 3)}, False),
        ((1, 2, 1, 1), (3, 2, 3, 3), (1, 3, 5, 5), {"pads": (3, 3, 3, 3)}, False),
    ):
        size = (np.float32, y)
        yield Case("convolution", "Conv", (numbers(*x), numbers(*w)), (size,), {**attributes, "threads": 3}, pack=pack)
        addends = (numbers(y[1]), numbers(*y))
        inputs = (numbers(*x), numbers(*w), *addends)
        yield Case("convolution", "Conv", inputs, (size,), {**attributes, "threads": 2}, pack=pack)
    for x, w, y, attributes in (
        ((2, 4, 5, 6), (4, 3, 3, 2), (2, 3, 11, 12), {"strides": (2, 2)}),
        ((1, 4, 7), (4, 2, 4), (1, 4, 7), {"group": 2, "pads": (1, 2)}),
        ((1, 2, 3), (2, 1, 2), (1, 1, 9), {"strides": (3,), "pads": (0, 0), "output_padding": (1,)}),
    ):
        inputs = (numbers(*x), numbers(*w), numbers(y[1]), numbers(*y))
        yield Case("convolution", "ConvTranspose", inputs, ((np.float32, y),), attributes)


def moves() -> Iterator[Case]:
    """Copies."""
    for dtype in ("u1", "f4", "i8"):
        for shape, order in (((33, 17), (1, 0)), ((2, 3, 40, 5), (0, 3, 1, 2)), ((4, 5, 6), (2, 1, 0))):
            x = numbers(*shape, dtype=dtype)
            yield Case("copy", "Transpose", (x,), ((dtype, tuple(shape[i] for i in order)),), {"perm": order})
        a, b = numbers(3, 5, 7, dtype=dtype), numbers(3, 2, 7, dtype=dtype)
        yield Case("copy", "Concat", (a, b), ((dtype, (3, 7, 7)),), {"axis": 1})
        yield Case("copy", "Split", (a,), ((dtype, (3, 1, 7)), (dtype, (3, 4, 7))), {"axis": 1})
        ends = (np.array([-1, 1]), np.array([-100, 6]), np.array([0, 2]), np.array([-2, 3]))
        yield Case("copy", "Slice", (a, *ends), ((dtype, (2, 5, 2)),), known=(1, 2, 3, 4))
        yield Case("copy", "Expand", (numbers(5, 1, dtype=dtype), np.array([3, 5, 4])), ((dtype, (3, 5, 4)),))
        yield Case("copy", "Tile", (a, np.array([2, 1, 3])), ((dtype, (6, 5, 21)),))
        pads, value = np.array([1, -1, 0, 2]), np.array(9, dtype)
        yield Case("copy", "Pad", (numbers(4, 20, dtype=dtype), pads, value), ((dtype, (5, 21)),), known=(1,))
        modes = {"mode": "reflect"}
        yield Case(
            "remap", "Pad", (numbers(4, 20, dtype=dtype), np.array([1, 2, 0, 2])), ((dtype, (5, 24)),), modes, 22, (1,)
        )
    yield Case("copy", "ConstantOfShape", (np.array([5, 7]),), (("f4", (5, 7)),), {"value": np.array([2], "f4")})
    yield Case("copy", "DepthToSpace", (numbers(1, 8, 3, 5),), (("f4", (1, 2, 6, 10)),), {"blocksize": 2})
    yield Case("copy", "SpaceToDepth", (numbers(1, 2, 6, 10),), (("f4", (1, 8, 3, 5)),), {"blocksize": 2})
    for scale, shape in ((2.0, (2, 6, 10)), (0.6, (2, 1, 3))):
        inputs = (numbers(2, 3, 5), None, np.array([1, scale, scale], "f4"))
        yield Case("remap", "Resize", inputs, (("f4", shape),), {"mode": "nearest"}, known=(2,))


def rows() -> Iterator[Case]:
    """Elementwise operators, reductions, softmax and normalizations."""
    for a, b, c in (
        ((7,), (7,), (7,)),
        ((33,), (1,), (33,)),
        ((3, 1, 5), (4, 1), (3, 4, 5)),
        ((2, 17, 33), (17, 1), (2, 17, 33)),
        ((), (), ()),
        ((5, 3), (3,), (5, 3)),
    ):
        yield Case("elementwise", "Add", (numbers(*a), numbers(*b)), (("f4", c),))
    parameters = tuple(numbers(5) for _ in range(4))
    yield Case("elementwise", "BatchNormalization", (numbers(2, 5, 9), *parameters), (("f4", (2, 5, 9)),))
    x = numbers(2, 5, 7, 70)
    for axes, shape in (((3,), (2, 5, 7, 1)), ((1,), (2, 1, 7, 70)), ((0, 2), (1, 5, 1, 70)), ((1, 3), (2, 1, 7, 1))):
        yield Case("reduction", "ReduceMean", (x, np.array(axes)), (("f4", shape),), known=(1,))
    yield Case("reduction", "ReduceSum", (numbers(3, 0, 2), np.array([1])), (("f4", (3, 1, 2)),), known=(1,))
    yield Case("reduction", "ReduceMax", (numbers(5, 9), np.array([0])), (("f4", (1, 9)),), known=(1,))
    for shape, axis in (((3, 33), -1), ((2, 5, 17), 1), ((4, 1), 0)):
        yield Case("softmax", "Softmax", (numbers(*shape),), (("f4", shape),), {"axis": axis})
    x, row = numbers(2, 3, 37), numbers(37)
    told = (("f4", (2, 3, 37)), ("f4", (2, 3, 1)), ("f4", (2, 3, 1)))
    yield Case("normalization", "LayerNormalization", (x, row, row), told)
    yield Case("normalization", "LayerNormalization", (x, numbers(1), numbers(37)), told[:1])
    yield Case("normalization", "RMSNormalization", (x, row), told[:1], version=23)
    yield Case("normalization", "InstanceNormalization", (x, numbers(3), numbers(3)), told[:1])
    x, per_group, per_channel = numbers(2, 6, 17), numbers(2), numbers(6)
    for version, scale in ((18, per_group), (21, per_channel)):
        outputs = (("f4", (2, 6, 17)),)
        yield Case("normalization", "GroupNormalization", (x, scale, scale), outputs, {"num_groups": 2}, version)
    x, scale, zero = numbers(3, 20), numbers(20), numbers(20, dtype="u1")
    yield Case("quantization", "QuantizeLinear", (x, scale, zero), (("u1", (3, 20)),), {"axis": 1})
    yield Case("quantization", "DynamicQuantizeLinear", (x,), (("u1", (3, 20)), ("f4", ()), ("u1", ())))


def pools() -> Iterator[Case]:
    """Pooling, windows that lie outside as a whole among them."""
    for size, out, kernel, strides, pads in (
        ((5,), (3,), (3,), (1,), (0, 0)),
        ((40,), (20,), (2,), (2,), (0, 0)),
        ((7, 9), (4, 5), (3, 3), (2, 2), (1, 1, 1, 1)),
        ((3, 200), (3, 198), (1, 3), (1, 1), (0, 0, 0, 0)),
        ((3, 3), (11, 11), (2, 2), (1, 1), (5, 5, 5, 5)),
        ((2, 2), (8, 8), (1, 1), (1, 1), (3, 3, 3, 3)),
        ((1, 17), (5, 31), (3, 3), (1, 1), (3, 8, 3, 8)),
        ((3, 4, 5), (2, 2, 2), (2, 3, 3), (2, 2, 2), (0, 1, 1, 1, 1, 1)),
    ):
        attributes = {"kernel_shape": kernel, "strides": strides, "pads": pads, "dilations": (1,) * len(kernel)}
        x, y = numbers(2, 3, *size), ("f4", (2, 3, *out))
        yield Case("pooling", "MaxPool", (x,), (y,), attributes)
        yield Case("pooling", "MaxPool", (x,), (y, ("i8", y[1])), attributes)
        yield Case("pooling", "AveragePool", (x,), (y,), {**attributes, "count_include_pad": 1})


def picks() -> Iterator[Case]:
    """Gathers and scatters."""
    x = numbers(4, 5, 17)
    for dtype in ("i4", "i8"):
        index = np.array([[0, -1], [3, 2]], dtype)
        yield Case("gather", "Gather", (x, index), (("f4", (2, 2, 5, 17)),), {"axis": 0})
        yield Case("gather", "Gather", (x, index), (("f4", (4, 5, 2, 2)),), {"axis": 2})
        picked = np.zeros((4, 3, 17), dtype)
        yield Case("gather", "GatherElements", (x, picked), (("f4", (4, 3, 17)),), {"axis": 1})
        yield Case("gather", "GatherND", (x, index), (("f4", (2, 17)),))
        yield Case("gather", "GatherND", (x, np.zeros((4, 2, 1), dtype)), (("f4", (4, 2, 17)),), {"batch_dims": 1})
        updates = numbers(4, 3, 17)
        yield Case("scatter", "ScatterElements", (x, picked, updates), (("f4", x.shape),), {"axis": 1})
        yield Case("scatter", "ScatterND", (x, index, numbers(2, 17)), (("f4", x.shape),))
