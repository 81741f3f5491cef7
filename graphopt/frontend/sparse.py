"""Sparse tensors: kept as they are written, expanded when somebody asks for the elements."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from onnx import SparseTensorProto

from graphopt.errors import ModelError
from graphopt.frontend.external import Folder
from graphopt.frontend.tensor import read_tensor, write_tensor
from graphopt.ir.constant import Constant, Dense
from graphopt.ir.dtype import DType

MOST_BYTES = 1 << 32
"""What a sparse tensor may take once it is expanded; in a file it takes next to nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Sparse:
    """A dense tensor of zeros but for `values`, at the flat positions `places` (ascending, unique)."""

    values: Constant
    places: np.ndarray
    shape: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        return self.values.dtype

    def array(self) -> np.ndarray:
        try:
            dense = np.zeros(self.shape, self.dtype.numpy)
        except (ValueError, MemoryError):
            raise ModelError(f"a sparse tensor of shape {list(self.shape)} does not fit into memory") from None
        dense.reshape(-1)[self.places] = self.values.array().reshape(-1)
        dense.setflags(write=False)
        return dense


def read_sparse_tensor(proto: SparseTensorProto, where: str, folder: Folder | None) -> Sparse:
    """The constant a SparseTensorProto holds; ModelError when its indices do not fit its values and dims."""
    values = read_tensor(proto.values, f"{where} (values)", folder)
    indices = read_tensor(proto.indices, f"{where} (indices)", folder)
    shape = tuple(proto.dims)
    if any(dim < 0 for dim in shape):
        raise ModelError(f"{where} has a negative dimension in its shape {list(shape)}")
    count, rank = math.prod(values.shape), len(shape)
    if indices.dtype is not DType.INT64 or indices.shape not in ((count,), (count, rank)) or len(values.shape) != 1:
        raise ModelError(
            f"{where} has {count} values, so its indices must be int64[{count}] or int64[{count}, {rank}], "
            f"got {indices.dtype}{list(indices.shape)}"
        )
    if math.prod(shape) * values.dtype.numpy.itemsize > MOST_BYTES:
        raise ModelError(f"{where} has the shape {list(shape)}, which takes more than {MOST_BYTES} bytes")
    places = np.array(indices.array(), np.int64)
    limits = np.array(shape if places.ndim == 2 else [math.prod(shape)], np.int64)
    if ((places < 0) | (places >= limits)).any():
        raise ModelError(f"{where} has an index outside its shape {list(shape)}")
    if places.ndim == 2:
        strides = [math.prod(shape[axis + 1 :]) for axis in range(rank)]
        places = places @ np.array(strides, np.int64) if rank else places.sum(axis=1)
    if (np.diff(places) <= 0).any():
        raise ModelError(f"{where} has indices that are not in ascending order, each once")
    return Sparse(values, places, shape)


def write_sparse_tensor(constant: Sparse, name: str = "") -> SparseTensorProto:
    """The SparseTensorProto of a sparse constant, its indices as flat positions."""
    return SparseTensorProto(
        values=write_tensor(constant.values, name), indices=write_tensor(Dense.of(constant.places)), dims=constant.shape
    )
