"""Element types: ONNX's own numbering, with numpy's dtype for each.  Imports numpy (and ml_dtypes on demand)."""

from __future__ import annotations

from enum import IntEnum
from functools import cache, lru_cache

import numpy as np


class DType(IntEnum):
    """The element type of a tensor; the value is ONNX's `TensorProto.DataType`."""

    FLOAT32 = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    STRING = 8
    BOOL = 9
    FLOAT16 = 10
    FLOAT64 = 11
    UINT32 = 12
    UINT64 = 13
    COMPLEX64 = 14
    COMPLEX128 = 15
    BFLOAT16 = 16
    FLOAT8E4M3FN = 17
    FLOAT8E4M3FNUZ = 18
    FLOAT8E5M2 = 19
    FLOAT8E5M2FNUZ = 20
    UINT4 = 21
    INT4 = 22
    FLOAT4E2M1 = 23
    FLOAT8E8M0 = 24
    UINT2 = 25
    INT2 = 26
    FLOAT6E2M3 = 27
    FLOAT6E3M2 = 28

    @property
    def numpy(self) -> np.dtype:
        """The numpy dtype that holds one element (strings are Python objects, sub-byte types one byte each)."""
        return _numpy(self)

    @property
    def bits(self) -> int:
        """Bits an element takes in a packed ONNX tensor; 0 for strings."""
        if self is DType.STRING:
            return 0
        return _PACKED_BITS.get(self, self.numpy.itemsize * 8)

    @property
    def is_float(self) -> bool:
        """Whether NaN, infinities or rounding exist for this type (complex included)."""
        return self in _FLOATS

    @property
    def is_integer(self) -> bool:
        """Whether this is a signed or unsigned integer type (bool is not)."""
        return self not in _FLOATS and self not in (DType.STRING, DType.BOOL)

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, dtype: np.dtype | type | str) -> DType:
        """The DType of a numpy dtype; raises ValueError for one ONNX does not have."""
        found = _by_numpy().get(np.dtype(dtype))
        if found is not None:
            return found
        if np.dtype(dtype).kind in "USO":
            return cls.STRING
        raise ValueError(f"numpy dtype {np.dtype(dtype)} has no ONNX element type")


_NUMPY = {
    DType.FLOAT32: "float32", DType.UINT8: "uint8", DType.INT8: "int8", DType.UINT16: "uint16",
    DType.INT16: "int16", DType.INT32: "int32", DType.INT64: "int64", DType.STRING: "object",
    DType.BOOL: "bool", DType.FLOAT16: "float16", DType.FLOAT64: "float64", DType.UINT32: "uint32",
    DType.UINT64: "uint64", DType.COMPLEX64: "complex64", DType.COMPLEX128: "complex128",
}  # fmt: skip
_ML_DTYPES = {
    DType.BFLOAT16: "bfloat16", DType.FLOAT8E4M3FN: "float8_e4m3fn", DType.FLOAT8E4M3FNUZ: "float8_e4m3fnuz",
    DType.FLOAT8E5M2: "float8_e5m2", DType.FLOAT8E5M2FNUZ: "float8_e5m2fnuz", DType.UINT4: "uint4",
    DType.INT4: "int4", DType.FLOAT4E2M1: "float4_e2m1fn", DType.FLOAT8E8M0: "float8_e8m0fnu",
    DType.UINT2: "uint2", DType.INT2: "int2", DType.FLOAT6E2M3: "float6_e2m3fn", DType.FLOAT6E3M2: "float6_e3m2fn",
}  # fmt: skip
_PACKED_BITS = {
    DType.UINT4: 4, DType.INT4: 4, DType.FLOAT4E2M1: 4, DType.UINT2: 2, DType.INT2: 2,
    DType.FLOAT6E2M3: 6, DType.FLOAT6E3M2: 6,
}  # fmt: skip
_FLOATS = frozenset(
    {DType.FLOAT16, DType.FLOAT32, DType.FLOAT64, DType.COMPLEX64, DType.COMPLEX128, DType.BFLOAT16}
    | {DType.FLOAT8E4M3FN, DType.FLOAT8E4M3FNUZ, DType.FLOAT8E5M2, DType.FLOAT8E5M2FNUZ, DType.FLOAT8E8M0}
    | {DType.FLOAT4E2M1, DType.FLOAT6E2M3, DType.FLOAT6E3M2}
)


@cache
def _numpy(dtype: DType) -> np.dtype:
    if dtype in _NUMPY:
        return np.dtype(_NUMPY[dtype])
    import ml_dtypes  # on demand: a bundle without such types must not pay for it

    return np.dtype(getattr(ml_dtypes, _ML_DTYPES[dtype]))


@lru_cache(maxsize=1)
def _by_numpy() -> dict[np.dtype, DType]:
    plain = {np.dtype(name): dtype for dtype, name in _NUMPY.items() if dtype is not DType.STRING}
    return plain | {_numpy(dtype): dtype for dtype in _ML_DTYPES}
