"""The fast path of depthwise convolution: a small kernel of known size slides down a column of pixels.

The weights stay in registers and what lies left and right of the image is worked out once for all rows; for each row
only its being inside is left to ask.  With stride 1 several output rows are computed at once: each row of the input
is then read once for all of them, and their sums do not wait for one another.  Products are added in the order of the
taps, as on the general path, so that all give the same bits.
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


def make_column(lanes: int, dtype: str, way: str, kernel: int, together: int) -> Any:
    """`column(where, count, start, low, high)`: the first `count` pixels of a strip `lanes` wide.

    `together` rows are computed at once; where it is more than 1, stride and dilation in y must be 1.

    `where` is a tuple: addresses of the input plane, the weights, the residual (or 0) and the output at row `top`;
    height, width, out width; y at row 0, first x; stride and dilation in y; stride and dilation in x; top, bottom
    (rows).
    """

    @intrinsic
    def column(typing: Any, where: Any, count: Any, start: Any, low: Any, high: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            _Column(builder, RunBuilder(builder, lanes, dtype), way, kernel, together, args).write()
            return context.get_dummy_value()

        numbers = [types.float64] * 3
        return signature(types.void, types.UniTuple(types.int64, FIELDS), types.int64, *numbers), generate

    return column


class _Column:
    def __init__(self, builder: ir.IRBuilder, of: RunBuilder, way: str, kernel: int, together: int, args: Any) -> None:
        self.b, self.of, self.way, self.kernel, self.together = builder, of, way, kernel, together
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
        firsts = [b.add(self.first_x, b.mul(self.word(j), self.step_x)) for j in taps]
        masks = [of.masks(self.way, first, self.stride, self.width) for first in firsts]
        all_written = of.inside(self.word(0), 1, self.count)
        before = b.block
        head, body, done = (b.append_basic_block(name) for name in ("rows", "row", "rows.done"))
        b.branch(head)
        b.position_at_end(head)
        row, out, added = b.phi(_I64), b.phi(_I64), b.phi(_I64)
        b.cbranch(b.icmp_signed("<", row, self.bottom), body, done)
        b.position_at_end(body)
        step = b.mul(self.out_width, self.word(of.size))
        written = [all_written]
        for later in range(1, self.together):
            exists = b.icmp_signed("<", b.add(row, self.word(later)), self.bottom)
            written.append(b.select(exists, all_written, ir.Constant(all_written.type, None)))
        sums = self.started([b.add(added, b.mul(self.word(o), step)) for o in range(self.together)], written)
        for r in range(self.together - 1 + self.kernel):
            y = b.add(b.add(self.first_y, b.mul(row, self.stride_y)), b.mul(self.word(r), self.step_y))
            inside = b.icmp_unsigned("<", y, self.height)
            line = b.add(self.x, b.mul(b.mul(y, self.width), self.word(of.size)))
            for j in taps:
                # no row, no lane: as where the kernel hangs over the sides
                present = [b.select(inside, m, ir.Constant(m.type, None)) for m in masks[j]]
                pixels = of.run(self.way, line, firsts[j], self.stride, present)
                for o in range(self.together):
                    if 0 <= r - o < self.kernel:
                        sums[o] = b.call(self.fma, [pixels, weights[r - o][j], sums[o]])
        for o, value in enumerate(sums):
            # a comparison with NaN is false, so that NaN passes through both
            value = b.select(b.fcmp_ordered(">", self.low, value), self.low, value)
            value = b.select(b.fcmp_ordered("<", self.high, value), self.high, value)
            of.store(value, b.add(out, b.mul(self.word(o), step)), written[o])
        advance = b.mul(self.word(self.together), step)
        nothing = b.icmp_signed("==", self.residual, self.word(0))
        end = b.block
        for phi, start, following in (
            (row, self.top, b.add(row, self.word(self.together))),
            (out, self.y, b.add(out, advance)),
            (added, self.residual, b.select(nothing, self.residual, b.add(added, advance))),
        ):
            phi.add_incoming(start, before)
            phi.add_incoming(following, end)
        b.branch(head)
        b.position_at_end(done)

    @property
    def fma(self) -> Any:
        of = self.of
        return of.declare(f"llvm.fma.v{of.lanes}f{of.size * 8}", of.vector, [of.vector] * 3)

    def started(self, places: list[Any], written: list[Any]) -> list[Any]:
        """Bias, and the residual at the places where there is one."""
        b, of = self.b, self.of
        before, then, after = b.block, b.append_basic_block("residual"), b.append_basic_block("started")
        b.cbranch(b.icmp_signed("!=", self.residual, self.word(0)), then, after)
        b.position_at_end(then)
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
