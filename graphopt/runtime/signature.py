"""What a model takes and gives, and whether a request fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt.errors import InputError
from graphopt.ir.dim import Expr
from graphopt.ir.dtype import DType
from graphopt.ir.types import OptionalType, SequenceType, TensorType, Type


@dataclass(frozen=True, slots=True)
class Port:
    """One input or output: its name and type; `optional` for an input that has a default."""

    name: str
    type: Type | None
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.name}: {self.type or 'of unknown type'}{' (optional)' if self.optional else ''}"


def conform(ports: Sequence[Port], feeds: Mapping[str, Any], defaults: Sequence[Any] = ()) -> list[Any]:
    """The inputs in order, as native C-contiguous arrays; one that is left out is its default, held to the same.

    `defaults` has an array for each port, None where there is none.  Lists and scalars are taken as numpy takes them,
    one number in brackets as a scalar.  InputError for a missing or unknown name, another dtype, another rank, a
    dimension other than the declared one, or one symbol with two sizes.
    """
    names = {port.name for port in ports}
    for name in feeds:
        if name not in names:
            raise InputError(f"the model has no input {name!r}; it takes {_names(ports)}")
    held = [*defaults, *(None,) * (len(ports) - len(defaults))]
    fed = {port.name: default for port, default in zip(ports, held, strict=True) if default is not None} | dict(feeds)
    arrays = [_array(port, fed) for port in ports]
    _check_symbols(ports, arrays, feeds)
    return arrays


def _array(port: Port, feeds: Mapping[str, Any]) -> Any:
    if port.name not in feeds:
        if port.optional:
            return None
        raise InputError(f"input {port.name!r} is missing: expected {port.type or 'a value'}")
    return _of_type(port.name, port.type, feeds[port.name])


def _of_type(name: str, type: Type | None, given: Any) -> Any:
    """The value given, as the type says; the elements of a sequence, and what an optional holds, are held to theirs."""
    match type:
        case TensorType():
            return _tensor(name, type, given)
        case SequenceType(element):
            if not isinstance(given, (list, tuple)):
                raise InputError(f"input {name!r}: expected {type}, a list, got {given.__class__.__name__}")
            items: Sequence[Any] = given
            return [_of_type(f"{name}[{i}]", element, item) for i, item in enumerate(items)]
        case OptionalType(element):
            return None if given is None else _of_type(name, element, given)
        case _:
            return given


def _tensor(name: str, type: TensorType, given: Any) -> np.ndarray:
    try:
        array = np.asarray(given)
    except ValueError:
        raise InputError(f"input {name!r}: expected {type}, got no array: its rows have unequal lengths") from None
    array = _of_dtype(name, type, array)
    shape = type.shape
    if shape == () and array.size == 1:
        array = array.reshape(())  # one number in brackets is still one number
    if shape is not None and len(shape) != array.ndim:
        raise InputError(
            f"input {name!r}: expected rank {len(shape)} ({type}), got rank {array.ndim} with shape {list(array.shape)}"
        )
    for axis, (dim, size) in enumerate(zip(shape or (), array.shape, strict=False)):
        if isinstance(dim, int) and dim != size:
            raise InputError(
                f"input {name!r}: expected {dim} in dimension {axis} ({type}), got {size} with shape"
                f" {list(array.shape)}"
            )
    return np.require(array, requirements=["C", "A"]).reshape(array.shape)


def _of_dtype(name: str, type: TensorType, array: np.ndarray) -> np.ndarray:
    dtype = type.dtype
    if dtype is None:
        return array
    if dtype is DType.STRING:
        if array.dtype.kind not in "USO":
            raise InputError(f"input {name!r}: expected strings ({type}), got {array.dtype}")
        return _text(array)
    if array.dtype == dtype.numpy:
        return array
    if array.dtype.newbyteorder("=") == dtype.numpy:
        return array.astype(dtype.numpy)
    raise InputError(f"input {name!r}: expected dtype {dtype.numpy} ({type}), got {array.dtype}")


def _text(array: np.ndarray) -> np.ndarray:
    flat = [item.decode("utf-8", "surrogateescape") if isinstance(item, bytes) else str(item) for item in array.flat]
    made = np.empty(array.shape, object)
    made.reshape(-1)[:] = flat
    return made


def _check_symbols(ports: Sequence[Port], arrays: Sequence[Any], feeds: Mapping[str, Any]) -> None:
    sizes: dict[str, tuple[int, str]] = {}
    later: list[tuple[Expr, int, str]] = []
    for port, array in zip(ports, arrays, strict=True):
        if array is None or not isinstance(port.type, TensorType) or port.type.shape is None:
            continue
        for axis, (dim, size) in enumerate(zip(port.type.shape, array.shape, strict=True)):
            if isinstance(dim, int):
                continue
            where = f"dimension {axis} of input {port.name!r}{'' if port.name in feeds else ', left at its default'}"
            name = str(dim)
            if dim.symbols != frozenset({name}):
                later.append((dim, size, where))
                continue
            first = sizes.setdefault(name, (size, where))
            if first[0] != size:
                raise InputError(f"dimension {name!r} is {first[0]} in {first[1]}, but {size} in {where}")
    known = {name: size for name, (size, _) in sizes.items()}
    for dim, size, where in later:
        if dim.symbols <= known.keys() and dim.evaluate(known) != size:
            raise InputError(f"{where} must be {dim} = {dim.evaluate(known)}, got {size}")


def _names(ports: Sequence[Port]) -> str:
    return ", ".join(repr(port.name) for port in ports) or "no input"
