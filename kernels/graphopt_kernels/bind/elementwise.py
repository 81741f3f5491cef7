"""Elementwise operators, alone or as a chain (`ai.graphopt::Elementwise` with the text of `chain.py` in `body`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphopt_kernels.abi import Field, KernelSpec, Launch, Operand, Scratch
from graphopt_kernels.bind.broadcast import broadcast_nest
from graphopt_kernels.bind.fit import of_dtype, of_rank, of_shape
from graphopt_kernels.chain import DTYPES, RULES, Chain, chain_of, parse

CHAIN = "ai.graphopt::Elementwise"
OPERATORS = frozenset({*RULES, CHAIN, "BatchNormalization", "CastLike", "Dropout"})

_NAMES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
}
"""onnx.TensorProto.DataType, of which `Cast` names one."""
_CHEAP = frozenset(("Add", "Sub", "Mul", "Max", "Min", "Relu", "Clip", "Where", "Cast", "Identity"))


def select(
    op: str, version: int, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]
) -> tuple[KernelSpec, ...] | None:
    """One spec; None where ONNX's operator or one of the dtypes is not known here."""
    chain = _chain(op, dtypes, attributes)
    return None if chain is None else (chain_spec(chain),)


def bind(
    inputs: Sequence[Operand | None], outputs: Sequence[Operand], attributes: Mapping[str, Any], scratch: Scratch
) -> list[Launch]:
    """One launch.  Outputs have one shape, to which inputs broadcast; an output may lie where an equal input lies."""
    op = str(attributes["op"])
    chain = _chain(op, [None if o is None else o.dtype for o in inputs], attributes)
    if chain is None:
        raise ValueError(f"{op} has no elementwise kernel for {[str(o.dtype) for o in inputs if o is not None]}")
    given = [o for o in inputs if o is not None][: len(chain.inputs)]
    full = outputs[0].shape
    shapes = _aligned(op, int(attributes.get("version", 0)), given, full)
    return launches_of(chain, given, shapes, outputs[: len(chain.outputs)])


def launches_of(
    chain: Chain, inputs: Sequence[Operand], shapes: Sequence[tuple[int, ...]], outputs: Sequence[Operand]
) -> list[Launch]:
    """The launch of a chain whose inputs are read in these shapes (their own, or with axes of 1 put in)."""
    full = outputs[0].shape
    if any(output.shape != full for output in outputs):
        raise ValueError(f"the outputs of one elementwise call differ in shape: {[list(o.shape) for o in outputs]}")
    if len(inputs) != len(chain.inputs) or len(outputs) != len(chain.outputs):
        wanted = f"{len(chain.inputs)} inputs and {len(chain.outputs)} outputs"
        raise ValueError(f"a chain of {wanted} has {len(inputs)} and {len(outputs)}")
    for slot, (operand, dtype) in enumerate(zip(inputs, chain.inputs, strict=True)):
        of_dtype(f"input {slot}", operand, dtype)
    for slot, (operand, made) in enumerate(zip(outputs, chain.outputs, strict=True)):
        of_dtype(f"output {slot}", operand, chain.dtype(made))
    total = math.prod(full)
    if total == 0:
        return []
    operands = [*inputs, *outputs]
    nest = broadcast_nest([*shapes, *(o.shape for o in outputs)], full)
    columns = nest.sizes[-1] if nest.sizes else 1
    fields: list[Field] = [max(len(nest.sizes) - 1, 0), columns, total // columns]
    fields += [operand.ref for operand in operands]
    fields += [strides[-1] if strides else 0 for strides in nest.strides]
    if not nest.sizes:  # one element: outputs are written, not repeated
        fields[-len(operands) :] = [1] * len(operands)
    for axis in reversed(range(len(nest.sizes) - 1)):
        fields += [nest.sizes[axis], *(strides[axis] for strides in nest.strides)]
    return [Launch(chain_spec(chain), tuple(fields), total * _cost(chain))]


def chain_spec(chain: Chain) -> KernelSpec:
    """The machine code of a chain."""
    return KernelSpec.of("elementwise", body=chain.text)


def _cost(chain: Chain) -> int:
    return sum(1 if step.op in _CHEAP else 10 for step in chain.steps) + len(chain.inputs)


def _aligned(op: str, version: int, inputs: Sequence[Operand], full: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes that broadcast as ONNX means them: what belongs to channels stands on axis 1."""
    shapes = [operand.shape for operand in inputs]
    channels = (1,) * max(len(full) - 2, 0)
    if op == "BatchNormalization":
        of_rank("the input", inputs[0], 1)
        for name, operand in zip(("scale", "bias", "mean", "variance"), inputs[1:], strict=True):
            of_shape(f"the {name}", operand, full[1:2] or (1,))
        return [shapes[0], *((*shape, *channels) for shape in shapes[1:])]
    if op == "PRelu" and version < 9 and len(shapes[1]) == 1 and len(full) > 2:
        return [shapes[0], (*shapes[1], *channels)]
    return shapes


def _chain(op: str, dtypes: Sequence[np.dtype | None], attributes: Mapping[str, Any]) -> Chain | None:
    if op == CHAIN:
        return parse(str(attributes["body"]))
    names = [None if dtype is None else dtype.name for dtype in dtypes]
    given = [name for name in names if name is not None]
    if op == "BatchNormalization":
        return _batch_normalization(given, attributes)
    if op == "Dropout":
        return None if _trains(attributes, names) else chain_of(given[:1], [("Identity", {}, [0])], [1])
    if op == "CastLike":
        return chain_of(given[:1], [("Cast", {"to": given[1]}, [0])], [1])
    if op == "Cast":
        to = attributes["to"]
        attributes = {"to": to if isinstance(to, str) else _NAMES.get(int(to), "")}
    steps = [(op, attributes, [None if name is None else i for i, name in _numbered(names)])]
    if op == "Clip" and len(given) == 1:  # before opset 11, and where both bounds are left out
        bounds = [_bound(attributes, "min", given[0]), _bound(attributes, "max", given[0])]
        steps = [(op, {}, [0, *bounds])]
    return chain_of(given, steps, [len(given)]) if DTYPES.issuperset(given) else None


def _numbered(names: Sequence[str | None]) -> list[tuple[int, str | None]]:
    count = 0
    result: list[tuple[int, str | None]] = []
    for name in names:
        result.append((count, name))
        count += name is not None
    return result


def _bound(attributes: Mapping[str, Any], name: str, dtype: str) -> np.generic | None:
    return np.dtype(dtype).type(attributes[name]) if name in attributes and dtype in DTYPES else None


def _trains(attributes: Mapping[str, Any], names: Sequence[str | None]) -> bool:
    return len(names) > 2 and names[2] is not None


def _batch_normalization(given: Sequence[str], attributes: Mapping[str, Any]) -> Chain | None:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, in inference; one dtype."""
    if attributes.get("training_mode") or len(given) != 5 or len(set(given)) != 1 or given[0] not in DTYPES:
        return None
    epsilon = np.dtype(given[0]).type(np.float32(attributes.get("epsilon", 1e-5)))
    x, scale, bias, mean, variance = range(5)
    steps: list[tuple[str, Mapping[str, Any], Sequence[int | np.generic | None]]] = [
        ("Add", {}, [variance, epsilon]),
        ("Sqrt", {}, [5]),
        ("Div", {}, [scale, 6]),
        ("Sub", {}, [x, mean]),
        ("Mul", {}, [8, 7]),
        ("Add", {}, [9, bias]),
    ]
    return chain_of(given, steps, [10])
