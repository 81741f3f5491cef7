"""Requests for a model: read from an .npz file, or drawn from a seed for the sizes that the caller names."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from graphopt.errors import InputError
from graphopt.files import open_file

if TYPE_CHECKING:
    import numpy as np

    from graphopt.ir.dim import Dim
    from graphopt.ir.types import TensorType, Type

    Array = np.ndarray[Any, Any]

LARGEST_DRAW = 2**33
"""Bytes a drawn input may take: a slip of the pen in `--dim` must not eat the machine."""


def read_npz(path: Path, types: Mapping[str, Type | None]) -> dict[str, Array]:
    """The arrays of an .npz file by name; InputError when it is none, or holds pickled objects.

    Element types that numpy's format does not know (bfloat16, float8, int4) are stored there as raw bytes; where
    the model declares one of the same width, the bytes are taken as that type.
    """
    import numpy as np

    try:
        with open_file(path) as file:
            if not zipfile.is_zipfile(file):
                raise InputError(f"{path} is not an .npz file; write one with numpy.savez(path, NAME=array, …)")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{path} cannot be read as an .npz file of plain arrays: {error}") from None
    for name, array in arrays.items():
        if not hasattr(array, "dtype"):
            raise InputError(f"{path}: {name!r} is no array")
    return {name: _retyped(array, types.get(name)) for name, array in arrays.items()}


def parse_dims(texts: Sequence[str]) -> dict[str, int]:
    """The sizes of `--dim NAME=SIZE` options, by name; InputError for any other form."""
    sizes: dict[str, int] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not (size.isascii() and size.isdigit()):
            raise InputError(f"--dim {text} is not NAME=SIZE, such as --dim N=4")
        if sizes.setdefault(name, int(size)) != int(size):
            raise InputError(f"--dim gives {name!r} two sizes, {sizes[name]} and {size}")
    return sizes


class Port(Protocol):
    """An input of a model, as `Compiled.inputs` lists them."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> Type | None: ...

    @property
    def optional(self) -> bool: ...


def choose_feeds(
    ports: Sequence[Port],
    path: Path | None,
    seed: int | None,
    dims: Sequence[str],
    *,
    default_size: int | None = None,
) -> dict[str, Array]:
    """The request that the options ask for: an .npz file, or drawn from a seed.

    With `default_size` neither has to be given: the seed is 0, and an open dimension has that size.  InputError
    when nothing says what to run on, or two options say different things.
    """
    types = {port.name: port.type for port in ports if not port.optional}
    if path is not None:
        if seed is not None or dims:
            raise InputError("--input gives the inputs as they are; leave out --random and --dim")
        return read_npz(path, {port.name: port.type for port in ports})
    if seed is None and default_size is None:
        if types:
            raise InputError("nothing says what to run on: give --input IN.npz, or --random SEED and --dim NAME=SIZE")
        return {}
    return random_feeds(types, seed or 0, parse_dims(dims), default_size=default_size)


def random_feeds(
    types: Mapping[str, Type | None], seed: int, sizes: Mapping[str, int], *, default_size: int | None = None
) -> dict[str, Array]:
    """One array for each input, the same for the same seed: floats from N(0, 1), integers and booleans 0 or 1.

    Integers stay that small because most of them are indices.  A symbolic dimension takes its size from `sizes`, by
    its name or as `INPUT.AXIS`, else `default_size`; InputError names the ones that have none, and the names that no
    dimension has.
    """
    import numpy as np

    shapes: dict[str, tuple[int, ...]] = {}
    used: set[str] = set()
    missing: list[str] = []
    for name, type_ in types.items():
        shape = _tensor(name, type_).shape
        if shape is None:
            raise InputError(f"input {name!r} has no known rank, so it cannot be drawn; give it with --input")
        found: list[int] = []
        for axis, dim in enumerate(shape):
            place = f"{name}.{axis}"
            names = _names_for(place, dim, sizes)
            used |= names
            known = {**sizes} if default_size is None else dict.fromkeys(names, default_size) | {**sizes}
            if names <= known.keys():
                found.append(known[place] if place in names else _evaluated(dim, known))
            missing += sorted(names - known.keys())
        shapes[name] = tuple(found)
    if missing:
        options = " ".join(f"--dim {name}=SIZE" for name in dict.fromkeys(missing))
        raise InputError(f"the model's inputs have open dimensions: add {options}")
    if unused := sorted(sizes.keys() - used):
        raise InputError(f"no input has a dimension called {', '.join(map(repr, unused))}")
    generator = np.random.default_rng(seed)
    return {name: _draw(name, _tensor(name, type_), shapes[name], generator) for name, type_ in types.items()}


def _names_for(place: str, dim: Dim, sizes: Mapping[str, int]) -> set[str]:
    """The names that decide a dimension's size: none for a number, else its symbols, or its place."""
    if isinstance(dim, int):
        return set()
    return {place} if place in sizes or dim.is_anonymous else set(dim.symbols)


def _evaluated(dim: Dim, sizes: Mapping[str, int]) -> int:
    return dim if isinstance(dim, int) else dim.evaluate(sizes)


def _draw(name: str, type_: TensorType, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    import numpy as np

    from graphopt.ir.dtype import DType

    if type_.dtype is None:
        raise InputError(f"input {name!r} has no declared dtype, so it cannot be drawn; give it with --input")
    count = int(np.prod(shape, dtype=object))
    if count * max(type_.dtype.bits // 8, 8) > LARGEST_DRAW:
        raise InputError(f"input {name!r} with shape {list(shape)} would take more than {LARGEST_DRAW:,} bytes")
    if type_.dtype is DType.STRING:
        return np.array([f"text {index}" for index in range(count)], object).reshape(shape)
    if type_.dtype.is_float:
        return generator.standard_normal(shape).astype(type_.dtype.numpy)
    return generator.integers(0, 2, shape).astype(type_.dtype.numpy)


def _tensor(name: str, type_: Type | None) -> TensorType:
    from graphopt.ir.types import TensorType

    if not isinstance(type_, TensorType):
        raise InputError(
            f"input {name!r} is no tensor ({type_ or 'of unknown type'}), which the command line cannot give"
        )
    return type_


def _retyped(array: Array, type_: Type | None) -> Array:
    from graphopt.ir.types import TensorType

    if array.dtype.kind != "V" or array.dtype.names or not isinstance(type_, TensorType) or type_.dtype is None:
        return array
    return array.view(type_.dtype.numpy) if array.dtype.itemsize == type_.dtype.numpy.itemsize else array
