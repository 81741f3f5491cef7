"""Runs of pixels in vector registers: a convolution's loads, with what lies outside the image read as zero.

A run is the elements first, first + stride, ... of a row of `width` elements; those before 0 and from `width` on do
not exist.  One unsigned comparison says which do, and masked loads touch no others.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.cpu.device import intrinsic

_I64, _I32, _BYTE, _BIT = ir.IntType(64), ir.IntType(32), ir.IntType(8), ir.IntType(1)


class RunBuilder:
    """Emits loads and stores of runs for one element type and vector width."""

    def __init__(self, builder: ir.IRBuilder, lanes: int, dtype: str) -> None:
        self.builder, self.lanes = builder, lanes
        self.size = 4 if dtype == "float32" else 8
        self.kind = ir.FloatType() if dtype == "float32" else ir.DoubleType()
        self.vector = ir.VectorType(self.kind, lanes)
        self.zero = ir.Constant(self.vector, None)

    def splat(self, scalar: Any, kind: Any) -> Any:
        vector = ir.VectorType(kind, self.lanes)
        one = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(_I32, 0))
        zeros = ir.Constant(ir.VectorType(_I32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(one, one, zeros)

    def inside(self, first: Any, stride: int | Any, width: Any, skip: int = 0) -> Any:
        """Which lanes' elements exist; `skip` lanes lie before the first."""
        b, row = self.builder, ir.VectorType(_I32, self.lanes)
        lane = ir.Constant(row, [skip + i for i in range(self.lanes)])
        if not isinstance(stride, int):
            lane = b.mul(lane, self.splat(b.trunc(stride, _I32), _I32))
        index = b.add(self.splat(b.trunc(first, _I32), _I32), lane)
        return b.icmp_unsigned("<", index, self.splat(b.trunc(width, _I32), _I32))

    def first_lanes(self, count: Any) -> Any:
        """The lanes before `count`."""
        return self.inside(ir.Constant(_I64, 0), 1, count)

    def place(self, address: Any) -> Any:
        return self.builder.inttoptr(address, self.vector.as_pointer())

    def load(self, address: Any, mask: Any) -> Any:
        """Lanes of the vector at an address, zero where masked off."""
        name = f"llvm.masked.load.v{self.lanes}f{self.size * 8}.p0v{self.lanes}f{self.size * 8}"
        arguments = [self.vector.as_pointer(), _I32, mask.type, self.vector]
        function = self.declare(name, self.vector, arguments)
        return self.builder.call(function, [self.place(address), ir.Constant(_I32, self.size), mask, self.zero])

    def store(self, value: Any, address: Any, mask: Any) -> None:
        """Write the lanes that the mask names."""
        name = f"llvm.masked.store.v{self.lanes}f{self.size * 8}.p0v{self.lanes}f{self.size * 8}"
        arguments = [self.vector, self.vector.as_pointer(), _I32, mask.type]
        function = self.declare(name, ir.VoidType(), arguments)
        self.builder.call(function, [value, self.place(address), ir.Constant(_I32, self.size), mask])

    def gather(self, address: Any, stride: Any, mask: Any) -> Any:
        """Lanes `stride` elements apart, from an address on."""
        b = self.builder
        offsets = b.mul(
            ir.Constant(ir.VectorType(_I64, self.lanes), list(range(self.lanes))),
            self.splat(b.mul(stride, ir.Constant(_I64, self.size)), _I64),
        )
        pointers = ir.VectorType(self.kind.as_pointer(), self.lanes)
        places = b.inttoptr(b.add(self.splat(address, _I64), offsets), pointers)
        name = f"llvm.masked.gather.v{self.lanes}f{self.size * 8}.v{self.lanes}p0f{self.size * 8}"
        function = self.declare(name, self.vector, [pointers, _I32, mask.type, self.vector])
        return b.call(function, [places, ir.Constant(_I32, self.size), mask, self.zero])

    def evens(self, low: Any, high: Any) -> Any:
        """Every other lane of two vectors side by side."""
        index = ir.Constant(ir.VectorType(_I32, self.lanes), [2 * i for i in range(self.lanes)])
        return self.builder.shuffle_vector(low, high, index)

    def declare(self, name: str, result: Any, parameters: list[Any]) -> Any:
        module = self.builder.module
        return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, parameters), name)

    def masks(self, way: str, first: Any, stride: Any, width: Any) -> list[Any]:
        """What `run` needs to know of a run; the same for every row that begins and ends alike."""
        match way:
            case "every":
                return [self.inside(first, 1, width)]
            case "second":
                return [self.inside(first, 1, width), self.inside(first, 1, width, skip=self.lanes)]
            case _:
                return [self.inside(first, stride, width)]

    def run(self, way: str, row: Any, first: Any, stride: Any, masks: list[Any]) -> Any:
        """The run's elements; `way` is "every" (stride 1), "second" (stride 2) or "any"."""
        b = self.builder
        start = b.add(row, b.mul(first, ir.Constant(_I64, self.size)))
        match way:
            case "every":
                return self.load(start, masks[0])
            case "second":
                next_vector = b.add(start, ir.Constant(_I64, self.lanes * self.size))
                return self.evens(self.load(start, masks[0]), self.load(next_vector, masks[1]))
            case _:
                return self.gather(start, stride, masks[0])


def make_copy_run(lanes: int, dtype: str, way: str) -> Any:
    """`copy(row, first, stride, width, plane, target, step, count, length)`: a run of `length` of each of `count`
    planes.

    Planes lie `plane` bytes apart, the copies `step` bytes.
    """

    @intrinsic
    def copy(
        typing: Any,
        row: Any,
        first: Any,
        stride: Any,
        width: Any,
        plane: Any,
        target: Any,
        step: Any,
        count: Any,
        length: Any,
    ) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            row, first, stride, width, plane, target, step, count, length = args
            of = RunBuilder(builder, lanes, dtype)
            masks, written = of.masks(way, first, stride, width), of.first_lanes(length)
            before, body, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
            zero, one = ir.Constant(_I64, 0), ir.Constant(_I64, 1)
            builder.cbranch(builder.icmp_signed(">", count, zero), body, done)
            builder.position_at_end(body)
            left, source, place = (builder.phi(_I64) for _ in range(3))
            of.store(of.run(way, source, first, stride, masks), place, written)
            for phi, start, following in (
                (left, count, builder.sub(left, one)),
                (source, row, builder.add(source, plane)),
                (place, target, builder.add(place, step)),
            ):
                phi.add_incoming(start, before)
                phi.add_incoming(following, body)
            builder.cbranch(builder.icmp_signed(">", left, one), body, done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return signature(types.void, *[types.int64] * 9), generate

    return copy
