"""What the run loop needs beyond arithmetic: atomics, pause, calls through addresses, and a few functions of libc."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import signature

from graphopt_kernels.cpu.device import intrinsic

_WORD = ir.IntType(64)


def _atomic(builder: ir.IRBuilder, address: Any) -> Any:
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def atomic_add(typing: Any, address: Any, value: Any) -> Any:
    """Add to the int64 at an address; gives what it was."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", _atomic(builder, args[0]), args[1], "seq_cst")

    return signature(types.int64, types.int64, types.int64), generate


@intrinsic
def atomic_load(typing: Any, address: Any) -> Any:
    """The int64 at an address, with all that was written before it was stored."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.load_atomic(_atomic(builder, args[0]), "seq_cst", 8)

    return signature(types.int64, types.int64), generate


@intrinsic
def atomic_store(typing: Any, address: Any, value: Any) -> Any:
    """Store an int64 so that whoever loads it sees all that was written before."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        builder.store_atomic(args[1], _atomic(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return signature(types.void, types.int64, types.int64), generate


@intrinsic
def take_one(typing: Any, address: Any) -> Any:
    """Take one from the int64 at an address if it is positive, as one step; gives 1 when it was, else 0."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        pointer, one = _atomic(builder, args[0]), ir.Constant(_WORD, 1)
        first = builder.load_atomic(pointer, "seq_cst", 8)
        before = builder.block
        retry, attempt, done = (builder.append_basic_block(name) for name in ("retry", "attempt", "done"))
        builder.branch(retry)
        builder.position_at_end(retry)
        seen = builder.phi(_WORD)
        seen.add_incoming(first, before)
        builder.cbranch(builder.icmp_signed(">", seen, ir.Constant(_WORD, 0)), attempt, done)
        builder.position_at_end(attempt)
        outcome = builder.cmpxchg(pointer, seen, builder.sub(seen, one), "seq_cst", "seq_cst")
        seen.add_incoming(builder.extract_value(outcome, 0), attempt)
        builder.cbranch(builder.extract_value(outcome, 1), done, retry)
        builder.position_at_end(done)
        taken = builder.phi(_WORD)
        taken.add_incoming(ir.Constant(_WORD, 0), retry)
        taken.add_incoming(one, attempt)
        return taken

    return signature(types.int64, types.int64), generate


@intrinsic
def call_kernel(typing: Any, address: Any, block: Any, member: Any, team: Any) -> Any:
    """Call the kernel at an address (signature of abi.py)."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        kernel = ir.FunctionType(ir.VoidType(), [_WORD] * 3)
        builder.call(builder.inttoptr(args[0], kernel.as_pointer()), args[1:])
        return context.get_dummy_value()

    return signature(types.void, *[types.int64] * 4), generate


def pause_of(machine: str) -> Any:
    """`pause()`: a hint to the CPU that it spins, where the machine has one."""

    @intrinsic
    def pause(typing: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            if machine == "x86_64":
                hint = builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), ir.FunctionType(ir.VoidType(), []))
                builder.call(hint, [])
            return context.get_dummy_value()

        return signature(types.void), generate

    return pause


def libc(name: str, parameters: int, result_bits: int = 32) -> Callable[..., Any]:
    """A function of libc that takes int64-sized arguments (pointers among them) and gives an int of `result_bits`."""

    @intrinsic
    def call(typing: Any, arguments: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            values = [builder.extract_value(args[0], i) for i in range(parameters)]
            shape = ir.FunctionType(ir.IntType(result_bits), [_WORD] * parameters)
            function = builder.module.globals.get(name) or ir.Function(builder.module, shape, name)
            return (
                builder.sext(builder.call(function, values), _WORD)
                if result_bits < 64
                else builder.call(function, values)
            )

        return signature(types.int64, types.UniTuple(types.int64, parameters)), generate

    return call


@intrinsic
def cycles(typing: Any) -> Any:
    """A counter that advances at a constant rate (the time-stamp counter on x86)."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        counter = builder.module.declare_intrinsic("llvm.readcyclecounter", (), ir.FunctionType(_WORD, []))
        return builder.call(counter, [])

    return signature(types.int64), generate
