"""For authors of operators: the assertion that a meaning and a shape rule agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphopt.check import run_call
from graphopt.ir.dim import Expr, symbol
from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType, Type
from graphopt.ops.facts import facts_of
from graphopt.ops.infer_call import infer_call
from graphopt.ops.table import Call


def assert_operator(
    op: str,
    *inputs: Any,
    domain: str = "",
    version: int = 1,
    outputs: int = 1,
    compiled: bool = True,
    **attributes: Any,
) -> tuple[Any, ...]:
    """The outputs of one application, after asserting what must hold of every operator.

    The meaning leaves its inputs as they were and gives the same outputs again; the shape rule, where there is one,
    gives their types from the sizes and elements of the inputs, and nothing that contradicts them from open
    dimensions, or from element types alone.  `inputs` are arrays, None for one left out.  AssertionError says what does
    not hold.
    """
    arrays = [None if x is None else np.asarray(x) for x in inputs]
    before = [None if a is None else a.copy() for a in arrays]
    call = Call(op, domain, version, attributes, tuple(arrays), outputs)
    made = run_call(call)[:outputs]
    for slot, (old, new) in enumerate(zip(before, arrays, strict=True)):
        assert old is None or new is None or _same(old, new), f"{op} changed its input {slot}"
    facts = facts_of(op, domain)
    for slot, (first, again) in enumerate(zip(made, run_call(call), strict=False)):
        random = facts is not None and not facts.deterministic
        assert random or first is None or _same(first, again), f"{op} gave another output {slot} at its second run"
    _assert_rule(call, arrays, made)
    return made


def _assert_rule(call: Call, arrays: Sequence[np.ndarray | None], made: Sequence[Any]) -> None:
    known = [None if a is None or a.dtype == object else a for a in arrays]
    exact = _inferred(call, [None if a is None else TensorType(_dtype(a), a.shape) for a in arrays], known)
    if exact is None:
        return
    facts = facts_of(call.op, call.domain)
    open_result = facts is not None and facts.data_dependent
    sizes: dict[str, int] = {}
    opened = _inferred(call, [None if a is None else _open(a, slot, sizes) for slot, a in enumerate(arrays)], ())
    nothing = _inferred(call, [None if a is None else TensorType(_dtype(a)) for a in arrays], ())
    for slot, array in enumerate(made):
        if array is None:
            continue
        for types, values in ((exact, {}), (opened, sizes), (nothing, {})):
            problem = _misfit(types[slot] if types else None, array, values)
            assert not problem, f"output {slot} of {call.op} {problem}"
        type = exact[slot]
        told = isinstance(type, TensorType) and type.static_shape is not None
        assert told or open_result, f"the shape rule of {call.op} leaves output {slot} open when all is known: {type}"


def _misfit(type: Type | None, array: np.ndarray, sizes: dict[str, int]) -> str:
    """How an array contradicts a type, "" where it does not."""
    if not isinstance(type, TensorType):
        return ""
    if type.dtype is not None and type.dtype is not _dtype(array):
        return f"is {array.dtype}, its shape rule says {type}"
    if type.shape is None:
        return ""
    dims = [d.evaluate(sizes) if isinstance(d, Expr) and d.symbols <= set(sizes) else d for d in type.shape]
    same = len(dims) == array.ndim and all(
        not isinstance(dim, int) or dim == size for dim, size in zip(dims, array.shape, strict=True)
    )
    return "" if same else f"has shape {list(array.shape)}, its shape rule says {type} for {sizes}"


def _inferred(call: Call, types: Sequence[TensorType | None], known: Sequence[np.ndarray | None]) -> Any:
    return infer_call(call.op, call.domain, call.version, call.attributes, types, known, call.outputs, "n")


def _open(array: np.ndarray, slot: int, sizes: dict[str, int]) -> TensorType:
    names = [f"d{slot}_{axis}" for axis in range(array.ndim)]
    sizes |= dict(zip(names, array.shape, strict=True))
    return TensorType(_dtype(array), tuple(symbol(name) for name in names))


def _dtype(array: np.ndarray) -> DType:
    return DType.STRING if array.dtype.kind in "OSU" else DType.of(array.dtype)


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind == "O":
        return a.shape == b.shape and a.tolist() == b.tolist()
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()
    )
