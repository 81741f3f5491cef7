"""The fast path of depthwise convolution: a small kernel of known size slides down a column of pixels.

The weights stay in registers and what lies left and right of the image is worked out once for all rows; for each row
only its being inside is left to ask.  Products are added in the order of the taps, as on the general path, so that both
give the same bits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.cpu.device import intrinsic
from graphopt_kernels.cpu.runs import RunBuilder

_I64 = ir.IntType(64)
FIELDS = 15


def make_column(lanes: int, dtype: str, way: str, kernel: int, vectors: int) -> Any:
    """`column(where, count, start, low, high)`: the first `count` pixels of a strip `vectors` × `lanes` wide.

    `where` is a tuple: addresses of the input plane, the weights, the residual (or 0) and the output at row `top`;
    height, width, out width; y at row 0, first x; stride and dilation in y; stride and dilation in x; top, bottom
    (rows).
    """

    @intrinsic
    def column(typing: Any, where: Any, count: Any, start: Any, low: Any, high: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            _Column(builder, RunBuilder(builder, lanes, dtype), way, kernel, vectors, args).write()
            return context.get_dummy_value()

        numbers = [types.float64] * 3
        return signature(types.void, types.UniTuple(types.int64, FIELDS), types.int64, *numbers), generate

    return column


class _Column:
    def __init__(self, builder: ir.IRBuilder, of: RunBuilder, way: str, kernel: int, vectors: int, args: Any) -> None:
        self.b, self.of, self.way, self.kernel, self.vectors = builder, of, way, kernel, vectors
        fields = [builder.extract_value(args[0], i) for i in range(FIELDS)]
        self.x, self.w, self.residual, self.y, self.height, self.width, self.out_width = fields[:7]
        self.first_y, self.first_x, self.stride_y, self.step_y, self.stride, self.step_x = fields[7:13]
        self.top, self.bottom = fields[13:]
        self.count = args[1]
        self.start, self.low, self.high = (self.scalar(x) for x in args[2:])

    def scalar(self, value: Any) -> Any:
        narrow = self.b.fptrunc(value, self.of.kind) if self.of.size == 4 else value
        return self.of.splat(narrow, self.of.kind)

    def word(self, value: int) -> Any:
        return ir.Constant(_I64, value)

    def weight(self, number: int) -> Any:
        place = self.b.add(self.w, self.word(number * self.of.size))
        return self.of.splat(self.b.load(self.b.inttoptr(place, self.of.kind.as_pointer())), self.of.kind)

    def write(self) -> None:
        b, of = self.b, self.of
        taps = range(self.kernel)
        weights = [[self.weight(i * self.kernel + j) for j in taps] for i in taps]
        skips = [b.mul(self.word(v * of.lanes), self.stride) for v in range(self.vectors)]
        firsts = [[b.add(b.add(self.first_x, skip), b.mul(self.word(j), self.step_x)) for j in taps] for skip in skips]
        masks = [[of.masks(self.way, first, self.stride, self.width) for first in row] for row in firsts]
        written = [of.inside(self.word(v * of.lanes), 1, self.count) for v in range(self.vectors)]
        before = b.block
        head, body, done = (b.append_basic_block(name) for name in ("rows", "row", "rows.done"))
        b.branch(head)
        b.position_at_end(head)
        row, out, added = b.phi(_I64), b.phi(_I64), b.phi(_I64)
        b.cbranch(b.icmp_signed("<", row, self.bottom), body, done)
        b.position_at_end(body)
        sums = self.started(added, written)
        for i in taps:
            y = b.add(b.add(self.first_y, b.mul(row, self.stride_y)), b.mul(self.word(i), self.step_y))
            inside = b.icmp_unsigned("<", y, self.height)
            line = b.add(self.x, b.mul(b.mul(y, self.width), self.word(of.size)))
            for j in taps:
                for v in range(self.vectors):
                    # no row, no lane: as where the kernel hangs over the sides
                    present = [b.select(inside, m, ir.Constant(m.type, None)) for m in masks[v][j]]
                    pixels = of.run(self.way, line, firsts[v][j], self.stride, present)
                    sums[v] = b.call(self.fma, [pixels, weights[i][j], sums[v]])
        for v, value in enumerate(sums):
            # a comparison with NaN is false, so that NaN passes through both
            value = b.select(b.fcmp_ordered(">", self.low, value), self.low, value)
            value = b.select(b.fcmp_ordered("<", self.high, value), self.high, value)
            of.store(value, b.add(out, self.word(v * of.lanes * of.size)), written[v])
        step = b.mul(self.out_width, self.word(of.size))
        nothing = b.icmp_signed("==", self.residual, self.word(0))
        end = b.block
        for phi, start, following in (
            (row, self.top, b.add(row, self.word(1))),
            (out, self.y, b.add(out, step)),
            (added, self.residual, b.select(nothing, self.residual, b.add(added, step))),
        ):
            phi.add_incoming(start, before)
            phi.add_incoming(following, end)
        b.branch(head)
        b.position_at_end(done)

    @property
    def fma(self) -> Any:
        of = self.of
        return of.declare(f"llvm.fma.v{of.lanes}f{of.size * 8}", of.vector, [of.vector] * 3)

    def started(self, added: Any, written: list[Any]) -> list[Any]:
        """Bias, and the residual where there is one."""
        b, of = self.b, self.of
        before, then, after = b.block, b.append_basic_block("residual"), b.append_basic_block("started")
        b.cbranch(b.icmp_signed("!=", self.residual, self.word(0)), then, after)
        b.position_at_end(then)
        places = [b.add(added, self.word(v * of.lanes * of.size)) for v in range(self.vectors)]
        sums = [b.fadd(self.start, of.load(place, mask)) for place, mask in zip(places, written, strict=True)]
        b.branch(after)
        b.position_at_end(after)
        joined = list[Any]()
        for value in sums:
            phi = b.phi(of.vector)
            phi.add_incoming(self.start, before)
            phi.add_incoming(value, then)
            joined.append(phi)
        return joined
