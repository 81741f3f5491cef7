"""Depthwise convolution: each output channel sees one input channel, so there is no product to block.

A vector holds neighbouring pixels of one output row; it stays in a register while the taps are added, in their order.
Members share the output rows of all channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.bind import convolution as f
from graphopt_kernels.cpu.depthwise_plane import make_column
from graphopt_kernels.cpu.device import device, intrinsic
from graphopt_kernels.cpu.runs import RunBuilder
from graphopt_kernels.cpu.words import float_word, make_load, word_at
from graphopt_kernels.targets import Target

_I64 = ir.IntType(64)
VECTORS = 4
TOGETHER = 4
"""Output rows that slide down a column at once: their sums and the weights of a kernel of 5×5 fill 32 registers."""


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """The depthwise convolution for `spec["dtype"]`."""
    dtype = spec["dtype"]
    itemsize = 4 if dtype == "float32" else 8
    lanes = target.lanes(itemsize)
    ways = tuple((make_row(lanes, dtype, way, VECTORS), make_row(lanes, dtype, way, 1)) for way in WAYS)
    (every_wide, every), (second_wide, second), (any_wide, anyhow) = ways
    load = make_load(dtype)

    @device
    def output_row(block: int, x: int, w: int, start: float, y: int, residual: int, od: int, oh: int) -> None:
        """One row of one output channel."""
        depth, height, width = word_at(block, f.IN), word_at(block, f.IN + 1), word_at(block, f.IN + 2)
        kd, kh, kw = word_at(block, f.KERNEL), word_at(block, f.KERNEL + 1), word_at(block, f.KERNEL + 2)
        stride, reach = word_at(block, f.STRIDE + 2), word_at(block, f.DILATION + 2)
        step_z, step_y = word_at(block, f.DILATION), word_at(block, f.DILATION + 1)
        out_width = word_at(block, f.OUT + 2)
        low, high = float_word(word_at(block, f.LOW)), float_word(word_at(block, f.HIGH))
        z = od * word_at(block, f.STRIDE) - word_at(block, f.PAD)
        row = oh * word_at(block, f.STRIDE + 1) - word_at(block, f.PAD + 1)
        done = 0
        while done < out_width:
            wide = out_width - done > lanes
            count = min(out_width - done, VECTORS * lanes if wide else lanes)
            first = done * stride - word_at(block, f.PAD + 2)
            sums = residual + done * itemsize if residual != 0 else 0
            place = y + done * itemsize
            a = (
                x,
                z,
                row,
                depth,
                height,
                width,
                kd,
                kh,
                kw,
                step_z,
                step_y,
                reach,
                stride,
                first,
                w,
                sums,
                place,
                count,
            )
            if stride == 1:
                if wide:
                    every_wide(a, start, low, high)
                else:
                    every(a, start, low, high)
            elif stride == 2:
                if wide:
                    second_wide(a, start, low, high)
                else:
                    second(a, start, low, high)
            elif wide:
                any_wide(a, start, low, high)
            else:
                anyhow(a, start, low, high)
            done += count

    three, three_second = (make_column(lanes, dtype, way, 3, 1) for way in ("every", "second"))
    five, five_second = (make_column(lanes, dtype, way, 5, 1) for way in ("every", "second"))
    threes, fives = (make_column(lanes, dtype, "every", kernel, TOGETHER) for kernel in (3, 5))

    @device
    def strip(
        block: int, x: int, w: int, start: float, y: int, residual: int, top: int, bottom: int, done: int
    ) -> None:
        """One vector's width of rows top..bottom of one output channel, from column `done` on."""
        out_width, kernel = word_at(block, f.OUT + 2), word_at(block, f.KERNEL + 2)
        stride = word_at(block, f.STRIDE + 2)
        where = (
            x, w, residual + done * itemsize if residual != 0 else 0, y + done * itemsize,
            word_at(block, f.IN + 1), word_at(block, f.IN + 2), out_width, -word_at(block, f.PAD + 1),
            done * stride - word_at(block, f.PAD + 2), word_at(block, f.STRIDE + 1), word_at(block, f.DILATION + 1),
            stride, word_at(block, f.DILATION + 2), top, bottom,
        )  # fmt: skip
        count = min(out_width - done, lanes)
        low, high = float_word(word_at(block, f.LOW)), float_word(word_at(block, f.HIGH))
        plain = stride == 1 and word_at(block, f.STRIDE + 1) == 1 and word_at(block, f.DILATION + 1) == 1
        if plain and bottom - top > 1:
            if kernel == 3:
                threes(where, count, start, low, high)
            else:
                fives(where, count, start, low, high)
        elif kernel == 3:
            if stride == 1:
                three(where, count, start, low, high)
            else:
                three_second(where, count, start, low, high)
        elif stride == 1:
            five(where, count, start, low, high)
        else:
            five_second(where, count, start, low, high)

    def depthwise(block: int, member: int, team: int) -> None:
        groups, outputs = word_at(block, f.GROUPS), word_at(block, f.OUTPUTS)
        out_depth, out_height = word_at(block, f.OUT), word_at(block, f.OUT + 1)
        out_width = word_at(block, f.OUT + 2)
        plane = word_at(block, f.IN) * word_at(block, f.IN + 1) * word_at(block, f.IN + 2) * itemsize
        bias, residual = word_at(block, f.BIAS), word_at(block, f.RESIDUAL)
        kernel, stride = word_at(block, f.KERNEL + 2), word_at(block, f.STRIDE + 2)
        flat = word_at(block, f.IN) == 1 and word_at(block, f.KERNEL) == 1 and out_depth == 1
        fast = flat and word_at(block, f.KERNEL + 1) == kernel and (kernel == 3 or kernel == 5) and stride <= 2
        total = word_at(block, f.N) * groups * outputs * out_depth * out_height
        unit, last = total * member // team, total * (member + 1) // team
        while unit < last:
            oh, rest = unit % out_height, unit // out_height
            od, channel = rest % out_depth, rest // out_depth
            output, image = channel % (groups * outputs), channel // (groups * outputs)
            x = word_at(block, f.X) + (image * groups + output // outputs) * plane
            w = word_at(block, f.W) + output * word_at(block, f.W_ROW) * itemsize
            start = 0.0
            if bias != 0:
                start = float(load(bias + output * itemsize))
            place = unit * out_width * itemsize
            y = word_at(block, f.Y) + place
            added = residual + place if residual != 0 else 0
            if fast:
                bottom = min(out_height, oh + last - unit)
                for done in range(0, out_width, lanes):
                    strip(block, x, w, start, y, added, oh, bottom, done)
                unit += bottom - oh
            else:
                output_row(block, x, w, start, y, added, od, oh)
                unit += 1

    return depthwise


WAYS = ("every", "second", "any")
_FIELDS = 18


def make_row(lanes: int, dtype: str, way: str, vectors: int) -> Any:
    """`row(where, start, low, high)`: up to `vectors` × `lanes` pixels of an output row, all taps in registers.

    `where` is a tuple: address of the input plane, first z and y, depth, height, width, taps in z, y and x, the
    distance between them, the stride, the first x, the weights, the residual (or 0), the output, and the number of
    pixels.
    """

    @intrinsic
    def row(typing: Any, where: Any, start: Any, low: Any, high: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            _Row(builder, lanes, dtype, way, vectors, args).write()
            return context.get_dummy_value()

        arguments = (types.UniTuple(types.int64, _FIELDS), types.float64, types.float64, types.float64)
        return signature(types.void, *arguments), generate

    return row


class _Row:
    """Writes the loops over taps of one stretch of an output row."""

    def __init__(self, builder: ir.IRBuilder, lanes: int, dtype: str, way: str, vectors: int, args: Any) -> None:
        self.b, self.of, self.way, self.vectors = builder, RunBuilder(builder, lanes, dtype), way, vectors
        fields = [builder.extract_value(args[0], i) for i in range(_FIELDS)]
        self.x, self.z, self.y, self.depth, self.height, self.width = fields[:6]
        self.kd, self.kh, self.kw, self.step_z, self.step_y, self.step_x = fields[6:12]
        self.stride, self.first, self.w, self.residual, self.place, self.count = fields[12:]
        self.start, self.low, self.high = (self.scalar(x) for x in args[1:])

    def scalar(self, value: Any) -> Any:
        """A float64 as a vector of the element type."""
        narrow = self.b.fptrunc(value, self.of.kind) if self.of.size == 4 else value
        return self.of.splat(narrow, self.of.kind)

    def word(self, value: int) -> Any:
        return ir.Constant(_I64, value)

    def loop(self, count: Any, sums: list[Any], body: Callable[[Any, list[Any]], list[Any]]) -> list[Any]:
        """`body(index, sums)` for each index, the sums in registers."""
        b = self.b
        before = b.block
        head, inside, after = (b.append_basic_block(name) for name in ("head", "inside", "after"))
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(_I64)
        held = [b.phi(self.of.vector) for _ in sums]
        b.cbranch(b.icmp_signed("<", index, count), inside, after)
        b.position_at_end(inside)
        new = body(index, list(held))
        end = b.block
        following = b.add(index, self.word(1))
        b.branch(head)
        for phi, first, later in ((index, self.word(0), following), *zip(held, sums, new, strict=True)):
            phi.add_incoming(first, before)
            phi.add_incoming(later, end)
        b.position_at_end(after)
        return list(held)

    def where(self, condition: Any, sums: list[Any], body: Callable[[], list[Any]]) -> list[Any]:
        """`body()` where the condition holds, else the sums."""
        b = self.b
        before, then, after = b.block, b.append_basic_block("then"), b.append_basic_block("after")
        b.cbranch(condition, then, after)
        b.position_at_end(then)
        new = body()
        end = b.block
        b.branch(after)
        b.position_at_end(after)
        joined = list[Any]()
        for old, value in zip(sums, new, strict=True):
            phi = b.phi(self.of.vector)
            phi.add_incoming(old, before)
            phi.add_incoming(value, end)
            joined.append(phi)
        return joined

    def write(self) -> None:
        b, of = self.b, self.of
        written = [of.inside(self.word(v * of.lanes), 1, self.count) for v in range(self.vectors)]
        offsets = [self.word(v * of.lanes * of.size) for v in range(self.vectors)]

        def plus_residual() -> list[Any]:
            loaded = [of.load(b.add(self.residual, o), m) for o, m in zip(offsets, written, strict=True)]
            return [b.fadd(self.start, x) for x in loaded]

        sums: list[Any] = [self.start] * self.vectors
        sums = self.where(b.icmp_signed("!=", self.residual, self.word(0)), sums, plus_residual)
        sums = self.loop(self.kd, sums, self.plane)
        # a comparison with NaN is false, so that NaN passes through both
        sums = [b.select(b.fcmp_ordered(">", self.low, x), self.low, x) for x in sums]
        sums = [b.select(b.fcmp_ordered("<", self.high, x), self.high, x) for x in sums]
        for value, offset, mask in zip(sums, offsets, written, strict=True):
            of.store(value, b.add(self.place, offset), mask)

    def plane(self, a: Any, sums: list[Any]) -> list[Any]:
        """All taps of one z."""
        b = self.b
        z = b.add(self.z, b.mul(a, self.step_z))

        def rows() -> list[Any]:
            return self.loop(self.kh, sums, lambda i, held: self.line(b.mul(a, self.kh), z, i, held))

        return self.where(b.icmp_unsigned("<", z, self.depth), sums, rows)

    def line(self, before: Any, z: Any, i: Any, sums: list[Any]) -> list[Any]:
        """All taps of one z and y."""
        b, of = self.b, self.of
        y = b.add(self.y, b.mul(i, self.step_y))
        taps = b.mul(b.add(before, i), self.kw)

        def columns() -> list[Any]:
            line = b.mul(b.add(b.mul(z, self.height), y), self.width)
            source = b.add(self.x, b.mul(line, self.word(of.size)))
            return self.loop(self.kw, sums, lambda j, held: self.tap(source, b.add(taps, j), j, held))

        return self.where(b.icmp_unsigned("<", y, self.height), sums, columns)

    def tap(self, source: Any, number: Any, j: Any, sums: list[Any]) -> list[Any]:
        b, of = self.b, self.of
        place = b.inttoptr(b.add(self.w, b.mul(number, self.word(of.size))), of.kind.as_pointer())
        weight = of.splat(b.load(place), of.kind)
        fma = of.declare(f"llvm.fma.v{of.lanes}f{of.size * 8}", of.vector, [of.vector] * 3)
        new = list[Any]()
        for v, held in enumerate(sums):
            skip = b.mul(self.word(v * of.lanes), self.stride)
            first = b.add(b.add(self.first, skip), b.mul(j, self.step_x))
            masks = of.masks(self.way, first, self.stride, self.width)
            new.append(b.call(fma, [of.run(self.way, source, first, self.stride, masks), weight, held]))
        return new
