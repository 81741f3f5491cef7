"""Inputs that break wrong rewrites: the ends of each type, seeded, so that a failure can be had again.

`ordinary` numbers find errors of arithmetic; `special` ones mix in NaN, ±0, ±inf, denormals and the largest
finite numbers; integers get their ends.  Symbolic dimensions take sizes of 0 and 1 among others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphopt.errors import InputError
from graphopt.ir.dim import Dim
from graphopt.ir.dtype import DType
from graphopt.ir.types import OptionalType, SequenceType, TensorType, Type
from graphopt.ops.meaning.precision import is_float

if TYPE_CHECKING:
    from graphopt.ir.graph import Graph

_SIZES = (3, 1, 0, 2, 9, 16)
_SHARES = (0.0, 0.5, 0.6, 0.2)
_WORDS = ("", "a", "ONNX", "été", "日本", "1.5", " two words ")


def special_values(dtype: DType, ends: bool = True) -> np.ndarray:
    """The elements of a type at which rules fail: its ends, zeros of both signs, NaN, infinities, denormals.

    Without `ends`, floats leave out the largest and the smallest: a computation in another order may overflow or
    underflow where this one does not, so these tell `exact` rewrites from wrong ones and no others.
    """
    if dtype is DType.STRING:
        return np.array(_WORDS, object)
    if dtype is DType.BOOL:
        return np.array([False, True])
    kind = dtype.numpy
    if kind.kind == "c":
        return np.array([0, -0.0, 1, 1j, -1, complex(np.nan, 0), complex(np.inf, 0)], kind)
    if not is_float(kind):
        low, high = _ends(dtype)
        return np.array(sorted({low, low + 1, 0, 1, 2, high - 1, high} | ({-1, -2} if low < 0 else set())), kind)
    import ml_dtypes

    info = ml_dtypes.finfo(kind)
    tiny, most = float(info.smallest_subnormal), float(info.max)
    values = [0.0, -0.0, 1.0, -1.0, 0.5, np.nan, np.inf, -np.inf]
    values += [tiny, -tiny, float(info.tiny), most, -most] if ends else []
    with np.errstate(all="ignore"):
        return np.array(values, np.float64).astype(kind)


def array_of(
    dtype: DType, shape: Sequence[int], rng: np.random.Generator, special: float = 0.0, ends: bool = True
) -> np.ndarray:
    """Random elements of a type; `special` is the share of them taken from `special_values(dtype, ends)`."""
    shape = tuple(shape)
    if dtype is DType.STRING:
        return rng.choice(np.array(_WORDS, object), shape)
    if dtype is DType.BOOL:
        return rng.random(shape) < 0.5
    kind = dtype.numpy
    if kind.kind == "c":
        plain = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(kind)
    elif is_float(kind):
        plain = np.array(rng.standard_normal(shape)).astype(kind)
    else:
        low, high = _ends(dtype)
        plain = np.array(rng.integers(max(low, -8), min(high, 9), shape, endpoint=True)).astype(kind)
    if not special or not plain.size:
        return plain
    chosen = rng.random(shape) < special
    odd = special_values(dtype, ends)
    plain[chosen] = np.resize(odd[rng.permutation(len(odd))], int(chosen.sum()))  # each of them, before one comes twice
    return plain


def sizes_of(dims: Iterable[Dim], trial: int, rng: np.random.Generator) -> dict[str, int]:
    """A size for each symbol: small and unlike one another, all 1, larger ones, then 0 among others."""
    names = sorted({name for dim in dims if not isinstance(dim, int) for name in dim.symbols})
    if trial == 0:
        return {name: 2 + i % 5 for i, name in enumerate(names)}
    if trial == 1:
        return dict.fromkeys(names, 1)
    if trial == 2:
        large = 29 if len(names) < 2 else 9  # room for every special value
        return {name: large + 2 * (i % 5) for i, name in enumerate(names)}
    return {name: int(rng.choice(_SIZES)) for name in names}


def value_of(
    type: Type | None, sizes: Mapping[str, int], rng: np.random.Generator, special: float = 0.0, ends: bool = True
) -> Any:
    """A value of a type; InputError where too little is known of it."""
    if isinstance(type, SequenceType):
        return [value_of(type.element, sizes, rng, special, ends) for _ in range(2)]
    if isinstance(type, OptionalType):
        return value_of(type.element, sizes, rng, special, ends)
    if not isinstance(type, TensorType) or type.dtype is None or type.shape is None:
        raise InputError(f"no value can be made for {type or 'a value of unknown type'}: dtype and rank are needed")
    shape = [max(dim if isinstance(dim, int) else dim.evaluate(sizes), 0) for dim in type.shape]
    return array_of(type.dtype, shape, rng, special, ends)


def adversarial_feeds(graph: Graph, trial: int = 0, seed: int = 0, ends: bool = True) -> dict[str, Any]:
    """Inputs for a graph: trial 0 is ordinary, 1 has sizes of 1, 2 larger ones, later ones sizes of 0 among others.

    All but trial 0 (and every fourth after it) mix in special values.  Inputs with a default keep it but for every
    third trial.  `ends` as in `special_values`.  InputError where an input's type is not known.
    """
    rng = np.random.default_rng([seed, trial])
    fed = [value for value in graph.inputs if value not in graph.defaults or trial % 3 == 2]
    dims = [dim for value in graph.inputs if isinstance(value.type, TensorType) for dim in value.type.shape or ()]
    sizes = sizes_of(dims, trial, rng)
    special = _SHARES[trial % 4]
    return {value.name: value_of(value.type, sizes, rng, special, ends) for value in fed}


def _ends(dtype: DType) -> tuple[int, int]:
    if dtype.bits < 8:
        signed = dtype in (DType.INT4, DType.INT2)
        return (-(1 << (dtype.bits - 1)), (1 << (dtype.bits - 1)) - 1) if signed else (0, (1 << dtype.bits) - 1)
    return int(np.iinfo(dtype.numpy).min), int(np.iinfo(dtype.numpy).max)
