"""`TensorProto` ↔ `Constant`: sizes are checked before anything is allocated, elements decoded when asked for.

Raw bytes become an array without another copy; typed fields (`float_data` …), strings and packed types are
decoded on first use; external data is memory-mapped.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from onnx import TensorProto

from graphopt.errors import ModelError
from graphopt.frontend.external import Folder, locate
from graphopt.frontend.types import read_dtype
from graphopt.ir.constant import Constant, Deferred, Dense, Mapped
from graphopt.ir.dtype import DType

_FIELD = {
    DType.FLOAT32: "float_data",
    DType.COMPLEX64: "float_data",
    DType.FLOAT64: "double_data",
    DType.COMPLEX128: "double_data",
    DType.INT64: "int64_data",
    DType.UINT32: "uint64_data",
    DType.UINT64: "uint64_data",
    DType.STRING: "string_data",
}  # all others: int32_data

_PACKED = (2, 4)  # bits of the types that int32_data holds packed into bytes; 6-bit floats stand there one by one


def read_tensor(tensor: TensorProto, where: str, folder: Folder | None = None) -> Constant:
    """The constant a TensorProto holds; `where` names it in errors, `folder` is where external data may lie.

    ModelError when its element type is unknown, a dim is negative, or the data does not fill the dims exactly.
    """
    dtype = read_dtype(tensor.data_type, where)
    if dtype is None:
        raise ModelError(f"{where} declares no element type")
    if tensor.HasField("segment"):
        raise ModelError(f"{where} is split into segments, which no ONNX version defines how to join")
    shape = tuple(tensor.dims)
    if any(dim < 0 for dim in shape):
        raise ModelError(f"{where} has the negative dimension {min(shape)} in its shape {list(shape)}")
    count = math.prod(shape)
    size = (count * dtype.bits + 7) // 8
    if tensor.data_location == TensorProto.EXTERNAL:
        if dtype is DType.STRING:
            raise ModelError(f"{where} keeps strings in external data, which ONNX does not allow")
        file, offset = locate(tensor, size, where, folder)
        if _is_plain(dtype):
            return Mapped(file, offset, dtype, shape)
        stored = Mapped(file, offset, DType.UINT8, (size,))
        return Deferred(dtype, shape, lambda: _unpack(stored.array(), dtype, shape))
    if tensor.HasField("raw_data"):
        return _read_raw(tensor.raw_data, size, dtype, shape, where)
    return _read_typed(tensor, count, size, dtype, shape, where)


def write_tensor(constant: Constant, name: str = "") -> TensorProto:
    """The TensorProto of a constant, its elements as raw bytes (strings as `string_data`)."""
    tensor = TensorProto(name=name, data_type=int(constant.dtype), dims=constant.shape)
    if constant.dtype is DType.STRING:
        tensor.string_data.extend(_as_bytes(item) for item in constant.array().ravel().tolist())
    else:
        tensor.raw_data = packed_bytes(constant)
    return tensor


def packed_bytes(constant: Constant) -> bytes:
    """The elements as ONNX's raw data: little-endian, types narrower than a byte packed from the low bits up."""
    array = np.ascontiguousarray(constant.array())
    bits = constant.dtype.bits
    if bits >= 8:
        return (array if np.little_endian else array.byteswap()).tobytes()
    single = np.unpackbits(array.view(np.uint8).reshape(-1, 1), axis=1, bitorder="little", count=bits)
    return np.packbits(single, bitorder="little").tobytes()


def write_packed(constant: Constant, file: BinaryIO) -> None:
    """Write the elements as `packed_bytes` gives them, without a copy where they lie in memory like that."""
    array = constant.array()
    if _is_plain(constant.dtype) and array.flags.c_contiguous:
        file.write(array.reshape(-1).view(np.uint8).data)
    else:
        file.write(packed_bytes(constant))


def _is_plain(dtype: DType) -> bool:
    return dtype.bits >= 8 and dtype is not DType.BOOL and bool(np.little_endian)


def _read_raw(raw: bytes, size: int, dtype: DType, shape: tuple[int, ...], where: str) -> Constant:
    if dtype is DType.STRING:
        raise ModelError(f"{where} keeps strings as raw bytes, which ONNX does not allow")
    if len(raw) != size:
        raise ModelError(f"{where} declares {dtype}{list(shape)}, that is {size} bytes, but holds {len(raw)}")
    if _is_plain(dtype):
        return Dense(_reshape(np.frombuffer(raw, dtype.numpy), shape, where), dtype)
    return Deferred(dtype, shape, lambda: _unpack(np.frombuffer(raw, np.uint8), dtype, shape))


def _read_typed(
    tensor: TensorProto, count: int, size: int, dtype: DType, shape: tuple[int, ...], where: str
) -> Constant:
    field = _FIELD.get(dtype, "int32_data")
    stored = getattr(tensor, field)
    expected = size if dtype.bits in _PACKED else count * (2 if dtype.name.startswith("COMPLEX") else 1)
    if len(stored) != expected:
        raise ModelError(
            f"{where} declares {dtype}{list(shape)}, that is {expected} in {field}, but holds {len(stored)}"
        )
    if expected == 0:
        return Dense(_reshape(np.empty(0, dtype.numpy), shape, where), dtype)
    kept = TensorProto()  # of its own, so that the model it came from can be freed
    getattr(kept, field).MergeFrom(stored)
    return Deferred(dtype, shape, partial(_decode_typed, kept, field, dtype, shape))


def _decode_typed(kept: TensorProto, field: str, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    stored: Any = getattr(kept, field)
    if dtype is DType.STRING:
        strings = np.empty(len(stored), object)
        strings[:] = list(stored)
        return strings.reshape(shape)
    if field == "float_data":
        return np.array(stored, np.float32).view(dtype.numpy).reshape(shape)
    if field == "double_data":
        return np.array(stored, np.float64).view(dtype.numpy).reshape(shape)
    if field == "int64_data":
        return np.array(stored, np.int64).reshape(shape)
    if field == "uint64_data":
        return np.array(stored, np.uint64).astype(dtype.numpy).reshape(shape)
    words = np.array(stored, np.int32)
    if dtype.bits in _PACKED or dtype is DType.BOOL:
        return _unpack(words.astype(np.uint8), dtype, shape)
    if dtype.bits == 6:
        return (words & 0x3F).astype(np.uint8).view(dtype.numpy).reshape(shape)
    width = {8: np.uint8, 16: np.uint16, 32: np.uint32}[dtype.bits]
    return words.astype(width).view(dtype.numpy).reshape(shape)  # the bits are the element, whatever its type


def _unpack(data: np.ndarray, dtype: DType, shape: tuple[int, ...]) -> np.ndarray:
    if dtype is DType.BOOL:
        return (data != 0).reshape(shape)
    if dtype.bits >= 8:
        return data.view(dtype.numpy).byteswap().reshape(shape)
    count = math.prod(shape)
    single = np.unpackbits(data, bitorder="little", count=count * dtype.bits).reshape(count, dtype.bits)
    return np.packbits(single, axis=1, bitorder="little").reshape(shape).view(dtype.numpy)


def _reshape(flat: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    try:
        return flat.reshape(shape)
    except ValueError:  # an empty tensor whose other dims overflow numpy's index type, or more than 64 dims
        raise ModelError(f"{where} has the shape {list(shape)}, which no array can have") from None


def _as_bytes(item: object) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()
