"""What follows from the operands of one step before it runs: output shapes, and elements where shapes decide them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphopt.check.call import run_call
from graphopt.errors import GraphoptError
from graphopt.ir.dtype import DType
from graphopt.ir.types import TensorType
from graphopt.ops.facts import facts_of
from graphopt.ops.table import Call, Inference, meaning_of, shape_rule_of
from graphopt.program import Program, Step
from graphopt.runtime.plan import Bound, Tensor

SMALL = 4096
"""Elements: up to here a value is computed while binding, or its elements take part in the key of the next part."""


@dataclass(frozen=True, slots=True)
class Derived:
    """Types of all outputs (those left out too), and their elements where shapes alone decide them."""

    types: tuple[tuple[np.dtype, tuple[int, ...]], ...]
    known: tuple[np.ndarray, ...] | None = None


def derive(program: Program, step: Step, operands: Sequence[Bound | None]) -> Derived | None:
    """What the operands decide; None when the output shapes cannot be told before the step has run."""
    if not all(operand is None or isinstance(operand, Tensor) for operand in operands):
        return None
    tensors = [operand if isinstance(operand, Tensor) else None for operand in operands]
    known = _evaluated(program, step, tensors)
    if known is not None:
        return Derived(tuple((array.dtype, array.shape) for array in known), known)
    rule = shape_rule_of(step.op, step.domain)
    if rule is None:
        return None
    types = rule(
        Inference(
            op=step.op,
            domain=step.domain,
            version=program.version(step.domain),
            attributes=step.attributes,
            types=tuple(None if t is None else TensorType(DType.of(t.dtype), t.shape) for t in tensors),
            values=tuple(None if t is None else t.known for t in tensors),
            outputs=len(step.outputs),
            name=step.name,
        )
    )
    found: list[tuple[np.dtype, tuple[int, ...]]] = []
    for slot in range(len(step.outputs)):
        type = types[slot] if slot < len(types) else None
        if not isinstance(type, TensorType) or type.dtype is None or type.static_shape is None:
            return None
        if min(type.static_shape, default=0) < 0:
            raise ValueError(f"its output would have the shape {list(type.static_shape)}")
        found.append((type.dtype.numpy, type.static_shape))
    return Derived(tuple(found))


def wanted(program: Program, step: Step, operands: Sequence[Bound | None]) -> list[int]:
    """The inputs whose elements, once they are there, would decide the step's shapes; [] when nothing would help."""
    facts = facts_of(step.op, step.domain)
    if facts is None:
        return []
    missing: list[int] = []
    for slot in sorted(facts.shape_inputs):
        operand = operands[slot] if slot < len(operands) else None
        value = step.inputs[slot] if slot < len(step.inputs) else None
        if value is None or not isinstance(operand, Tensor) or operand.known is not None:
            continue
        if operand.nbytes <= SMALL * operand.dtype.itemsize and operand.dtype.kind != "O":
            missing.append(value)
    return missing


def _evaluated(program: Program, step: Step, operands: Sequence[Tensor | None]) -> tuple[np.ndarray, ...] | None:
    """The outputs by the operator's meaning, where all its operands are known and small."""
    facts = facts_of(step.op, step.domain)
    if facts is None or not facts.deterministic or (step.kernel is not None and step.absorbed):
        return None
    arrays: list[np.ndarray | None] = []
    size = 0
    for operand in operands:
        if operand is None:
            arrays.append(None)
        elif facts.shape_only:
            arrays.append(np.broadcast_to(np.zeros((), operand.dtype), operand.shape))
        elif operand.known is None:
            return None
        else:
            size += operand.known.size
            arrays.append(operand.known)
    if size > SMALL or not step.outputs or not arrays or meaning_of(step.op, step.domain) is None:
        return None
    if facts.shape_inputs and not _stays_small(program, step, operands):
        return None
    version = program.version(step.domain)
    results = run_call(Call(step.op, step.domain, version, step.attributes, tuple(arrays), len(step.outputs)))
    made = tuple(results[: len(step.outputs)])
    if not all(isinstance(array, np.ndarray) and array.dtype.kind != "O" for array in made):
        return None
    return tuple(np.array(array) for array in made)


def _stays_small(program: Program, step: Step, operands: Sequence[Tensor | None]) -> bool:
    """Whether the outputs have few elements: ConstantOfShape and Expand make much of little."""
    rule = shape_rule_of(step.op, step.domain)
    if rule is None:
        return False
    given = Inference(
        op=step.op,
        domain=step.domain,
        version=program.version(step.domain),
        attributes=step.attributes,
        types=tuple(None if t is None else TensorType(DType.of(t.dtype), t.shape) for t in operands),
        values=tuple(None if t is None else t.known for t in operands),
        outputs=len(step.outputs),
        name=step.name,
    )
    try:
        types = rule(given)
    except (GraphoptError, ValueError, TypeError, IndexError):
        return False
    shapes = [type.static_shape for type in types if isinstance(type, TensorType)]
    return all(shape is not None and np.prod(shape, dtype=np.float64) <= SMALL for shape in shapes)
