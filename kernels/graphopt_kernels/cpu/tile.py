"""The register tile of matrix products and convolutions, as LLVM IR: C[rows, columns] += A[rows, k] · B[k, columns].

Every accumulator stays in a register for the whole of k: one fused multiply-add for each element and step, in the
order of k, whatever the tile's size, so that an element's bits do not depend on how a product was cut into tiles.  A is
read by broadcast loads (any strides), B by vector loads of `vectors` registers a row.  Bias, residual and clip are
applied in registers.  A tile's operands stand in a row of int64, its descriptor; columns past COUNT are neither read
nor written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.cpu.device import intrinsic
from graphopt_kernels.targets import Target

A, A_ROW, A_STEP, B, B_STEP, K, C, C_ROW, COUNT, ACCUMULATE = range(10)
"""Addresses, and strides in bytes; COUNT columns are valid; ACCUMULATE: start from what C holds."""
BIAS, BIAS_ROW, BIAS_COLUMN, RESIDUAL, RESIDUAL_ROW, RESIDUAL_COLUMN, LOW, HIGH, BIAS_SCALE = range(10, 19)
"""Addends (address 0: none; a column stride of 0 repeats one element along a row), the float64 bounds of the clip and
factor of the bias."""
DESCRIPTOR_WORDS = 19

PANEL_BYTES = 128
"""One row of a packed panel of B on every target: 32 float32, 16 float64."""

_I64, _I32, _BYTE, _BIT = ir.IntType(64), ir.IntType(32), ir.IntType(8), ir.IntType(1)


@dataclass(frozen=True, slots=True)
class TileShape:
    """The largest tile that a target's registers hold, and the largest whose loads of B may be masked."""

    rows: int
    vectors: int
    masked_rows: int
    lanes: int
    itemsize: int

    @property
    def columns(self) -> int:
        """Columns of the widest tile."""
        return self.vectors * self.lanes

    @property
    def panel(self) -> int:
        """Columns of a packed panel."""
        return PANEL_BYTES // self.itemsize


def tile_shape(target: Target, itemsize: int) -> TileShape:
    """12 × 2 of 32 registers (6 × 4 where vectors are short), 6 × 2 of 16; the rest holds B and a broadcast."""
    lanes = target.lanes(itemsize)
    if target.vector_registers < 32:
        return TileShape(6, 2, 4, lanes, itemsize)
    if target.vector_bytes < 32:
        return TileShape(6, 4, 6, lanes, itemsize)
    return TileShape(12, 2, 12, lanes, itemsize)


def make_tile(shape: TileShape, element: str, *, masked: bool) -> Any:
    """`tile(descriptor, rows)`: compute one tile; with `masked`, B may end where the valid columns end.

    Packed panels are padded, so that they need no masks on B.
    """
    kind = ir.FloatType() if element == "float32" else ir.DoubleType()
    most = shape.masked_rows if masked else shape.rows

    @intrinsic
    def tile(typing: Any, descriptor: Any, rows: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            builder_of = _Builder(builder.module, shape, kind, masked)
            done = builder.append_basic_block("tile.done")
            wide, narrow = builder.append_basic_block("tile.wide"), builder.append_basic_block("tile.narrow")
            count = builder.load(builder.gep(builder.inttoptr(args[0], _I64.as_pointer()), [_i64(COUNT)]))
            builder.cbranch(builder.icmp_signed(">", count, _i64(shape.lanes)), wide, narrow)
            for block, vectors in ((wide, shape.vectors), (narrow, 1)):
                builder.position_at_end(block)
                choice = builder.switch(args[1], done)
                for r in range(1, most + 1):
                    case = builder.append_basic_block(f"rows{r}")
                    choice.add_case(_i64(r), case)
                    builder.position_at_end(case)
                    builder.call(builder_of.function(r, vectors), [args[0]])
                    builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return signature(types.void, types.int64, types.int64), generate

    return tile


def _i64(value: int) -> Any:
    return ir.Constant(_I64, value)


class _Builder:
    """Writes one function a tile size into a module."""

    def __init__(self, module: Any, shape: TileShape, kind: Any, masked: bool) -> None:
        self.module, self.shape, self.kind, self.masked = module, shape, kind, masked
        self.vector = ir.VectorType(kind, shape.lanes)
        self.mask_type = ir.VectorType(_BIT, shape.lanes)
        self.suffix = f"v{shape.lanes}f{shape.itemsize * 8}"

    def function(self, rows: int, vectors: int) -> Any:
        """`void tile(int64 descriptor)` for a tile of rows × vectors."""
        name = f"tile_{rows}x{vectors}_{self.suffix}{'_masked' if self.masked else ''}"
        known = self.module.globals.get(name)
        if known is not None:
            return known
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), [_I64]), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        _Tile(self, function, rows, vectors).write()
        return function

    def declare(self, name: str, result: Any, parameters: Sequence[Any]) -> Any:
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, parameters), name)


class _Tile:
    """One function: load the descriptor, start the accumulators, loop over k, clip, store."""

    def __init__(self, of: _Builder, function: Any, rows: int, vectors: int) -> None:
        self.of, self.rows, self.vectors = of, rows, vectors
        self.vector, self.lanes = of.vector, of.shape.lanes
        self.size = of.shape.itemsize
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.words = self.builder.inttoptr(function.args[0], _I64.as_pointer())

    def write(self) -> None:
        b = self.builder
        self.masks = self._masks()
        sums: list[Any] = [ir.Constant(self.vector, None)] * (self.rows * self.vectors)
        c, c_row = self.pointer(C), self.word(C_ROW)
        sums = self.when(b.icmp_signed("!=", self.word(ACCUMULATE), _i64(0)), sums, lambda: self.load_rows(c, c_row))
        sums = self.plus_addend(sums, BIAS, BIAS_ROW, BIAS_COLUMN, BIAS_SCALE)
        sums = self.plus_addend(sums, RESIDUAL, RESIDUAL_ROW, RESIDUAL_COLUMN, None)
        sums = self.loop(sums)
        low, high = (self.bound(field) for field in (LOW, HIGH))
        # a comparison with NaN is false, so that NaN passes through both
        sums = [b.select(b.fcmp_ordered(">", low, x), low, x) for x in sums]
        sums = [b.select(b.fcmp_ordered("<", high, x), high, x) for x in sums]
        self.store_rows(sums, c, c_row)
        b.ret_void()

    # ---- pieces -------------------------------------------------------------------------------------

    def word(self, field: int) -> Any:
        return self.builder.load(self.builder.gep(self.words, [_i64(field)]))

    def pointer(self, field: int) -> Any:
        return self.builder.inttoptr(self.word(field), _BYTE.as_pointer())

    def at(self, base: Any, offset: Any, kind: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(base, [offset]), kind.as_pointer())

    def splat(self, scalar: Any, like: Any = None) -> Any:
        like = like or self.vector
        b, zero = self.builder, ir.Constant(_I32, 0)
        one = b.insert_element(ir.Constant(like, ir.Undefined), scalar, zero)
        return b.shuffle_vector(one, one, ir.Constant(ir.VectorType(_I32, like.count), [0] * like.count))

    def bound(self, field: int) -> Any:
        b = self.builder
        value = b.bitcast(self.word(field), ir.DoubleType())
        return self.splat(b.fptrunc(value, self.of.kind) if self.size == 4 else value)

    def _masks(self) -> list[Any]:
        """Which lanes of each vector hold valid columns; with one vector a tile is narrow, else wide."""
        b = self.builder
        index = ir.VectorType(_I32, self.lanes)
        count = self.splat(b.trunc(self.word(COUNT), _I32), index)
        lanes = [ir.Constant(index, [v * self.lanes + i for i in range(self.lanes)]) for v in range(self.vectors)]
        return [b.icmp_signed("<", lane, count) for lane in lanes]

    def masked_load(self, base: Any, offset: Any, mask: Any) -> Any:
        pointer = self.at(base, offset, self.vector)
        load = self.of.declare(
            f"llvm.masked.load.{self.of.suffix}.p0{self.of.suffix}",
            self.vector,
            [self.vector.as_pointer(), _I32, self.of.mask_type, self.vector],
        )
        zero = ir.Constant(self.vector, None)
        return self.builder.call(load, [pointer, ir.Constant(_I32, self.size), mask, zero])

    def load_rows(self, base: Any, row: Any) -> list[Any]:
        b, step = self.builder, self.lanes * self.size
        starts = [b.mul(row, _i64(r)) for r in range(self.rows)]
        return [self.masked_load(base, b.add(s, _i64(v * step)), m) for s in starts for v, m in enumerate(self.masks)]

    def when(self, condition: Any, sums: list[Any], instead: Any) -> list[Any]:
        """`instead()` where the condition holds, else the sums."""
        return self.either(condition, instead, lambda: sums)

    def either(self, condition: Any, yes: Any, no: Any) -> list[Any]:
        """`yes()` where the condition holds, else `no()`."""
        b = self.builder
        blocks = [b.append_basic_block(), b.append_basic_block()]
        after = b.append_basic_block()
        b.cbranch(condition, *blocks)
        ways: list[tuple[list[Any], Any]] = []
        for block, make in zip(blocks, (yes, no), strict=True):
            b.position_at_end(block)
            made = make()
            ways.append((made, b.block))
            b.branch(after)
        b.position_at_end(after)
        (first, first_end), (second, second_end) = ways
        return [self.join((x, first_end), (y, second_end)) for x, y in zip(first, second, strict=True)]

    def join(self, *ways: tuple[Any, Any]) -> Any:
        phi = self.builder.phi(ways[0][0].type)
        for value, block in ways:
            phi.add_incoming(value, block)
        return phi

    def plus_addend(
        self, sums: list[Any], address: int, row_field: int, column_field: int, scale_field: int | None
    ) -> list[Any]:
        b = self.builder

        def plus(addends: list[Any]) -> list[Any]:
            if scale_field is None:
                return [b.fadd(x, y) for x, y in zip(sums, addends, strict=True)]
            scale = self.bound(scale_field)
            return [b.fadd(x, b.fmul(y, scale)) for x, y in zip(sums, addends, strict=True)]

        def repeated() -> list[Any]:
            base, row = self.pointer(address), self.word(row_field)
            elements = [b.load(self.at(base, b.mul(row, _i64(r)), self.of.kind)) for r in range(self.rows)]
            return plus([self.splat(x) for x in elements for _ in range(self.vectors)])

        def along() -> list[Any]:
            return plus(self.load_rows(self.pointer(address), self.word(row_field)))

        def present() -> list[Any]:
            return self.either(b.icmp_signed("==", self.word(column_field), _i64(0)), repeated, along)

        return self.when(b.icmp_signed("!=", self.word(address), _i64(0)), sums, present)

    def loop(self, sums: list[Any]) -> list[Any]:
        """The sums after all of k."""
        b = self.builder
        a_row, a_step, b_step, k = self.word(A_ROW), self.word(A_STEP), self.word(B_STEP), self.word(K)
        twice = b.shl(a_row, _i64(1))
        first, rows = self.pointer(A), range(0, self.rows, 3)
        # one pointer for three rows: the other two are one register and an index away
        groups = [b.gep(first, [b.mul(a_row, _i64(r))]) for r in rows]
        panel = self.pointer(B)
        before, body, after = b.block, b.append_basic_block("k"), b.append_basic_block("k.done")
        b.cbranch(b.icmp_signed(">", k, _i64(0)), body, after)
        b.position_at_end(body)
        left, at_b = b.phi(_I64), b.phi(_BYTE.as_pointer())
        at_a = [b.phi(_BYTE.as_pointer()) for _ in groups]
        held = [b.phi(self.vector) for _ in sums]
        columns = [self.load_b(at_b, v) for v in range(self.vectors)]
        fma = self.of.declare(f"llvm.fma.{self.of.suffix}", self.vector, [self.vector] * 3)
        new: list[Any] = []
        for r in range(self.rows):
            base = at_a[r // 3]
            place = base if r % 3 == 0 else b.gep(base, [a_row if r % 3 == 1 else twice])
            broadcast = self.splat(b.load(b.bitcast(place, self.of.kind.as_pointer()), align=self.size))
            new += [b.call(fma, [broadcast, columns[v], held[r * self.vectors + v]]) for v in range(self.vectors)]
        steps = [(left, k, b.sub(left, _i64(1))), (at_b, panel, b.gep(at_b, [b_step]))]
        steps += [(p, start, b.gep(p, [a_step])) for p, start in zip(at_a, groups, strict=True)]
        steps += list(zip(held, sums, new, strict=True))
        for phi, start, following in steps:
            phi.add_incoming(start, before)
            phi.add_incoming(following, body)
        b.cbranch(b.icmp_signed(">", left, _i64(1)), body, after)
        b.position_at_end(after)
        return [self.join((old, before), (value, body)) for old, value in zip(sums, new, strict=True)]

    def load_b(self, at: Any, v: int) -> Any:
        offset = _i64(v * self.lanes * self.size)
        if self.of.masked:
            return self.masked_load(at, offset, self.masks[v])
        return self.builder.load(self.at(at, offset, self.vector), align=self.size)

    def store_rows(self, sums: list[Any], base: Any, row: Any) -> None:
        b, step = self.builder, self.lanes * self.size
        full, partial, after = (b.append_basic_block(name) for name in ("full", "partial", "stored"))
        b.cbranch(b.icmp_signed("==", self.word(COUNT), _i64(self.lanes * self.vectors)), full, partial)
        store = self.of.declare(
            f"llvm.masked.store.{self.of.suffix}.p0{self.of.suffix}",
            ir.VoidType(),
            [self.vector, self.vector.as_pointer(), _I32, self.of.mask_type],
        )
        for block in (full, partial):
            b.position_at_end(block)
            for i, value in enumerate(sums):
                r, v = divmod(i, self.vectors)
                pointer = self.at(base, b.add(b.mul(row, _i64(r)), _i64(v * step)), self.vector)
                if block is full:
                    b.store(value, pointer, align=self.size)
                else:
                    b.call(store, [value, pointer, ir.Constant(_I32, self.size), self.masks[v]])
            b.branch(after)
        b.position_at_end(after)
