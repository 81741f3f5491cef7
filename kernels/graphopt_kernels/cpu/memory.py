"""Memory by address: how cores read their argument block and touch arrays.

Addresses are int64.  Typed access comes in pairs made for a dtype: `load = loader(np.float32)`, then `load(address, i)`
is element i of the array at `address`; `store = storer(np.float32)`, `store(address, i, value)`.  A bool is the byte
0 or 1.  float16 and bfloat16 have no scalars in Numba: vectors of them are read by `lanes.py`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.typing.templates import signature

from graphopt_kernels.cpu.device import device, intrinsic

_WORD, _BYTE = ir.IntType(64), ir.IntType(8)


@cache
def loader(dtype: Any) -> Any:
    """`load(address, index)` for elements of a dtype."""
    element = from_dtype(np.dtype(dtype))

    @intrinsic
    def load(typing: Any, address: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return context.unpack_value(builder, element, _element_pointer(context, builder, element, args))

        return signature(element, types.int64, types.int64), generate

    return load


@cache
def storer(dtype: Any) -> Any:
    """`store(address, index, value)` for elements of a dtype; the value is cast as by astype."""
    element = from_dtype(np.dtype(dtype))

    @intrinsic
    def store(typing: Any, address: Any, index: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            context.pack_value(builder, element, args[2], _element_pointer(context, builder, element, args))
            return context.get_dummy_value()

        return signature(types.void, types.int64, types.int64, element), generate

    return store


def _element_pointer(context: Any, builder: Any, element: Any, args: Any) -> Any:
    base = builder.inttoptr(args[0], context.get_data_type(element).as_pointer())
    return cgutils.gep(builder, base, args[1])


int_at = loader(np.int64)
"""`int_at(block, field)`: an integer field or address of an argument block."""
float_at = loader(np.float64)
"""`float_at(block, field)`: a field that `abi.float_field` wrote."""
set_float = storer(np.float64)
"""`set_float(row, index, value)`: write one float64 of a row."""
set_int = storer(np.int64)
"""`set_int(row, index, value)`: write one int64 of a row."""


@cache
def stack(nbytes: int) -> Any:
    """An intrinsic `f() -> address` of that many bytes, aligned to 64, in the frame of the function that calls it.

    Each call that stands in a function's text has its own place.
    """

    @intrinsic
    def place(typing: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            memory = cgutils.alloca_once(builder, ir.ArrayType(_BYTE, nbytes))
            memory.align = 64
            return builder.ptrtoint(memory, _WORD)

        return signature(types.int64), generate

    return place


@intrinsic
def copy_bytes(typing: Any, target: Any, source: Any, nbytes: Any) -> Any:
    """`copy_bytes(target, source, nbytes)`: memcpy; the two must not overlap."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        to, of = (builder.inttoptr(address, _BYTE.as_pointer()) for address in args[:2])
        cgutils.raw_memcpy(builder, to, of, args[2], 1)
        return context.get_dummy_value()

    return signature(types.void, types.int64, types.int64, types.int64), generate


_load_u8, _store_u8 = loader(np.uint8), storer(np.uint8)
_load_u16, _store_u16 = loader(np.uint16), storer(np.uint16)
_load_u32, _store_u32 = loader(np.uint32), storer(np.uint32)


@device
def copy_element(target: int, source: int, size: int) -> None:
    """Copy one element of 1, 2, 4 or 8 bytes."""
    if size == 4:
        _store_u32(target, 0, _load_u32(source, 0))
    elif size == 8:
        set_int(target, 0, int_at(source, 0))
    elif size == 1:
        _store_u8(target, 0, _load_u8(source, 0))
    else:
        _store_u16(target, 0, _load_u16(source, 0))


@device
def fill_elements(target: int, source: int, size: int, count: int) -> None:
    """`count` copies, side by side, of the one element at `source`."""
    for i in range(count):
        copy_element(target + i * size, source, size)


@device
def share_low(total: int, unit: int, member: int, team: int) -> int:
    """Where a member's part of `total` begins: a multiple of `unit`.  It ends where the next member's begins."""
    units = (total + unit - 1) // unit
    return min(units * member // team * unit, total)
