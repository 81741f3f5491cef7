"""What a core can do at most: fused multiply-adds on registers, as many at once as the machine keeps in flight.

Not a kernel of any operator: `bench` measures others against it.  Its block: rounds, where to store a result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.abi import KernelSpec
from graphopt_kernels.cpu.device import intrinsic
from graphopt_kernels.cpu.runs import RunBuilder
from graphopt_kernels.cpu.words import word_at
from graphopt_kernels.targets import Target

CHAINS = 12
"""Independent sums: enough for two units with a latency of four to six cycles."""


def core(spec: KernelSpec, target: Target) -> Callable[[int, int, int], None]:
    """`rounds` × CHAINS vector multiply-adds for `spec["dtype"]`."""
    dtype = spec["dtype"]
    burn = _make_burn(target.lanes(4 if dtype == "float32" else 8), dtype)

    def roof(block: int, member: int, team: int) -> None:
        burn(word_at(block, 0), word_at(block, 1))

    return roof


def _make_burn(lanes: int, dtype: str) -> Any:
    @intrinsic
    def burn(typing: Any, rounds: Any, place: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            of, word = RunBuilder(builder, lanes, dtype), ir.IntType(64)
            seeds = [of.splat(ir.Constant(of.kind, float(i)), of.kind) for i in range(CHAINS)]
            factor = of.load(args[1], of.first_lanes(ir.Constant(word, lanes)))
            fma = of.declare(f"llvm.fma.v{lanes}f{of.size * 8}", of.vector, [of.vector] * 3)
            before, body, done = builder.block, builder.append_basic_block(), builder.append_basic_block()
            builder.branch(body)
            builder.position_at_end(body)
            left, sums = builder.phi(word), [builder.phi(of.vector) for _ in seeds]
            new = [builder.call(fma, [x, factor, factor]) for x in sums]
            following = builder.sub(left, ir.Constant(word, 1))
            for phi, start, later in ((left, args[0], following), *zip(sums, seeds, new, strict=True)):
                phi.add_incoming(start, before)
                phi.add_incoming(later, body)
            builder.cbranch(builder.icmp_signed(">", following, ir.Constant(word, 0)), body, done)
            builder.position_at_end(done)
            total = new[0]
            for value in new[1:]:
                total = builder.fadd(total, value)
            of.store(total, args[1], of.first_lanes(ir.Constant(word, lanes)))
            return context.get_dummy_value()

        return signature(types.void, types.int64, types.int64), generate

    return burn
