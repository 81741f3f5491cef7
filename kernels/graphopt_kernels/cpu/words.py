"""Rows of int64: argument blocks and descriptors, read and written by field."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature

from graphopt_kernels.cpu.device import intrinsic

_WORD = ir.IntType(64)


def _place(builder: ir.IRBuilder, args: Any) -> Any:
    return builder.gep(builder.inttoptr(args[0], _WORD.as_pointer()), [args[1]])


@intrinsic
def word_at(typing: Any, address: Any, index: Any) -> Any:
    """`word_at(address, index)`: one int64 of a row."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.load(_place(builder, args))

    return signature(types.int64, types.int64, types.int64), generate


@intrinsic
def put_word(typing: Any, address: Any, index: Any, value: Any) -> Any:
    """`put_word(address, index, value)`: write one int64 of a row."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        builder.store(args[2], _place(builder, args))
        return context.get_dummy_value()

    return signature(types.void, types.int64, types.int64, types.int64), generate


def stack_words(count: int) -> Any:
    """`f() -> address`: a row of `count` int64 in the caller's frame, on a cache line of its own."""

    @intrinsic
    def row(typing: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            memory = cgutils.alloca_once(builder, ir.ArrayType(_WORD, count))
            memory.align = 64
            return builder.ptrtoint(memory, _WORD)

        return signature(types.int64), generate

    return row


@intrinsic
def float_word(typing: Any, word: Any) -> Any:
    """The float64 whose bit pattern an int64 field carries (`abi.float_field`)."""

    def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return signature(types.float64, types.int64), generate


def make_load(dtype: str) -> Any:
    """`load(address)`: one float32 or float64."""
    number, kind = _float(dtype)

    @intrinsic
    def load(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            return builder.load(builder.inttoptr(args[0], kind.as_pointer()))

        return signature(number, types.int64), generate

    return load


def make_store(dtype: str) -> Any:
    """`store(address, value)`: one float32 or float64; the value is rounded to it."""
    number, kind = _float(dtype)

    @intrinsic
    def store(typing: Any, address: Any, value: Any) -> Any:
        def generate(context: Any, builder: ir.IRBuilder, sig: Any, args: Any) -> Any:
            builder.store(args[1], builder.inttoptr(args[0], kind.as_pointer()))
            return context.get_dummy_value()

        return signature(types.void, types.int64, number), generate

    return store


def _float(dtype: str) -> tuple[Any, Any]:
    return (types.float32, ir.FloatType()) if dtype == "float32" else (types.float64, ir.DoubleType())
