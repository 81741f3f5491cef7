"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear: elementwise chains, with two reductions before the last.

Scaling happens in float32, as the text asks: a value next to a rounding boundary is another integer in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from graphopt_kernels.abi import KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.elementwise import chain_spec, launches_of
from graphopt_kernels.bind.fit import of_shape, of_size
from graphopt_kernels.bind.moves import axis_of, required
from graphopt_kernels.bind.reduction import launch, reduction_spec
from graphopt_kernels.chain import Chain, chain_of

OPERATORS = frozenset(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"))
_STORED = ("int8", "uint8", "int16", "uint16")
_FLOAT = np.dtype(np.float32)
_NUMBERED = {0: "uint8", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16"}
"""onnx.TensorProto.DataType of `output_dtype`; 0 is the default."""


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """The chains; None for blocks, other precisions, and dtypes other than float32 and 8 or 16 bit integers."""
    names = ["" if dtype is None else dtype.name for dtype in dtypes]
    if op == "DynamicQuantizeLinear":
        if names != ["float32"]:
            return None
        extremes = (reduction_spec(r, "float32", "rows") for r in ("ReduceMax", "ReduceMin"))
        return (*extremes, chain_spec(_range_chain()), chain_spec(_quantize_chain("uint8", True)))
    if attributes.get("block_size") or attributes.get("precision") or len(names) < 2 or names[1] != "float32":
        return None
    chain = _chain(op, names, attributes)
    return None if chain is None else (chain_spec(chain),)


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch, four for DynamicQuantizeLinear."""
    op, x = str(attributes["op"]), required(inputs, 0)
    if op == "DynamicQuantizeLinear":
        return _dynamic(x, outputs, scratch)
    given = [operand for operand in inputs if operand is not None]
    chain = _chain(op, ["" if o is None else o.dtype.name for o in inputs], attributes)
    if chain is None:
        raise ValueError(f"{op} has no kernel for {[str(o.dtype) for o in given]}")
    for zero in given[2:]:
        of_shape("the zero point", zero, given[1].shape)
    shapes = [x.shape, *(_spread(operand, x, attributes) for operand in given[1:])]
    return launches_of(chain, given, shapes, outputs[:1])


def _spread(operand: Operand, x: Operand, attributes: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape in which a scale or zero point broadcasts over x: per tensor, or along an axis."""
    if operand.size == 1 and len(operand.shape) <= 1:
        return ()
    if len(operand.shape) != 1:
        raise ValueError(f"a scale or zero point of shape {list(operand.shape)} is neither one number nor one an axis")
    axis = axis_of(int(attributes.get("axis", 1)), len(x.shape)) if len(x.shape) > 1 else 0
    of_size("the scale or zero point", operand, x.shape[axis] if x.shape else 1)
    return (*operand.shape, *(1,) * (len(x.shape) - axis - 1))


def _chain(op: str, names: Sequence[str], attributes: Mapping[str, Any]) -> Chain | None:
    zero = names[2] if len(names) > 2 else ""
    if op == "QuantizeLinear":
        to = zero or _NUMBERED.get(int(attributes.get("output_dtype") or 0), "")
        return _quantize_chain(to, bool(zero)) if names[0] == "float32" and to in _STORED else None
    if (
        names[0] not in (*_STORED, "int32")
        or zero not in ("", names[0])
        or attributes.get("output_dtype", 0) not in (0, 1)
    ):
        return None
    return _dequantize_chain(names[0], bool(zero))


@cache
def _quantize_chain(to: str, shifted: bool) -> Chain:
    """saturate(round(x / scale) + zero); NaN becomes the lowest."""
    info = np.iinfo(to)
    low, high = np.float32(info.min), np.float32(info.max)
    inputs = ["float32", "float32", to] if shifted else ["float32", "float32"]
    zero: int | np.generic = len(inputs) + 2 if shifted else np.float32(0)
    first = len(inputs)
    steps: list[tuple[str, Mapping[str, Any], Sequence[int | np.generic | None]]] = [
        ("Div", {}, [0, 1]),
        ("Round", {}, [first]),
        ("Cast", {"to": "float32"}, [2 if shifted else first + 1]),
        ("Add", {}, [first + 1, zero]),
        ("Clip", {}, [first + 3, low, high]),
        ("IsNaN", {}, [first + 4]),
        ("Where", {}, [first + 5, low, first + 4]),
        ("Cast", {"to": to}, [first + 6]),
    ]
    return _known(chain_of(inputs, steps, [first + 7]))


@cache
def _dequantize_chain(of: str, shifted: bool) -> Chain:
    """(x - zero) · scale, the difference in int32."""
    inputs = [of, "float32", of] if shifted else [of, "float32"]
    first = len(inputs)
    zero: int | np.generic = first + 1 if shifted else np.int32(0)
    steps: list[tuple[str, Mapping[str, Any], Sequence[int | np.generic | None]]] = [
        ("Cast", {"to": "int32"}, [0]),
        ("Cast", {"to": "int32"}, [2 if shifted else 0]),
        ("Sub", {}, [first, zero]),
        ("Cast", {"to": "float32"}, [first + 2]),
        ("Mul", {}, [first + 3, 1]),
    ]
    return _known(chain_of(inputs, steps, [first + 4]))


@cache
def _range_chain() -> Chain:
    """Scale and zero point from the largest and the smallest; the range holds 0, and an empty one has scale 1."""
    zero, one, most = np.float32(0), np.float32(1), np.float32(255)
    steps: list[tuple[str, Mapping[str, Any], Sequence[int | np.generic | None]]] = [
        ("Max", {}, [0, zero]),
        ("Min", {}, [1, zero]),
        ("Sub", {}, [2, 3]),
        ("Div", {}, [4, most]),
        ("Equal", {}, [2, 3]),
        ("Where", {}, [6, one, 5]),
        ("Div", {}, [3, 7]),
        ("Sub", {}, [zero, 8]),
        ("Round", {}, [9]),
        ("Clip", {}, [10, zero, most]),
        ("Abs", {}, [8]),
        ("Less", {}, [12, np.float32(np.inf)]),
        ("Where", {}, [13, 11, zero]),
        ("Cast", {"to": "uint8"}, [14]),
    ]
    return _known(chain_of(["float32", "float32"], steps, [7, 15]))


def _known(chain: Chain | None) -> Chain:
    if chain is None:
        raise AssertionError("a chain of known operators was declined")
    return chain


def _dynamic(x: Operand, outputs: Sequence[Operand], scratch: Scratch) -> list[Launch]:
    high, low = (Operand(_FLOAT, (), scratch(4)) for _ in range(2))
    axes = range(len(x.shape))
    launches = [launch("ReduceMax", x, high, axes), launch("ReduceMin", x, low, axes)]
    for told in outputs[1:]:
        of_size("the scale or zero point", told, 1)
    scale = outputs[1] if len(outputs) > 1 else Operand(_FLOAT, (), scratch(4))
    zero = outputs[2] if len(outputs) > 2 else Operand(np.dtype(np.uint8), (), scratch(1))
    launches += launches_of(_range_chain(), [high, low], [(), ()], [scale, zero])
    return [*launches, *launches_of(_quantize_chain("uint8", True), [x, scale, zero], [x.shape, (), ()], outputs[:1])]
