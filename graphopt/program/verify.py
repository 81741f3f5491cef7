"""What must hold of an image before anyone binds it; BundleError says what does not."""

from __future__ import annotations

import math

from graphopt.errors import BundleError
from graphopt.ir.dtype import DType
from graphopt.program.program import Image, Program, Step, StepKind, Weight

_ANY_BODIES = {("ai.onnx.preview", "FlexAttention")}
"""Operators whose subgraphs may each be left out."""
_BODIES = {"If": ["else_branch", "then_branch"], "Loop": ["body"], "Scan": ["body"], "SequenceMap": ["body"]}
"""The attributes of control flow that hold graphs."""
_MOST_BYTES = 1 << 62
"""Of an array: numpy counts with 64 bits."""


def verify(image: Image) -> None:
    """Return when all indices are in range, all values are defined before use, all weights lie inside the block."""
    for i, weight in enumerate(image.weights):
        _weight(i, weight, image.nbytes)
    for target, index in image.targets.items():
        _check(index < len(image.programs), f"target {target} asks for program {index} of {len(image.programs)}")
    for program in image.programs:
        _program(program, len(image.weights))
        _check(not program.captures, f"program {program.name!r} captures values and stands in no other")


def _weight(i: int, weight: Weight, nbytes: int) -> None:
    _check(weight.offset + weight.nbytes <= nbytes, f"weight {i} ends after the {nbytes} bytes of the weights file")
    _check(weight.offset % 64 == 0, f"weight {i} is not aligned")
    if weight.dtype is DType.STRING:
        _check(not weight.fill, f"weight {i} fills an array with a string")
        _check(8 * math.prod(weight.shape) <= weight.nbytes, f"weight {i} has {weight.nbytes} bytes for its strings")
    else:
        count = 1 if weight.fill else math.prod(weight.shape)
        expected = count * weight.dtype.numpy.itemsize
        _check(weight.nbytes == expected, f"weight {i} has {weight.nbytes} bytes, its shape needs {expected}")
        extent = math.prod(max(size, 1) for size in weight.shape) * weight.dtype.numpy.itemsize
        _check(extent < _MOST_BYTES, f"weight {i} has a shape of {extent} bytes")


def _program(program: Program, weights: int) -> None:
    where = f"program {program.name!r}"
    known: set[int] = set()

    def define(value: int, what: str) -> None:
        _check(value < len(program.values), f"{where}: {what} defines value {value} of {len(program.values)}")
        _check(value not in known, f"{where}: value {value} is defined twice")
        known.add(value)

    for i, value in enumerate(program.values):
        _check(value.weight is None or value.weight < weights, f"{where}: value {i} asks for weight {value.weight}")
        if value.weight is not None:
            define(i, "a constant")
    for value in (*program.inputs, *program.captures):
        define(value, "an input")
    for value, weight in program.defaults.items():
        _check(
            value in program.inputs and weight < weights, f"{where}: the default of value {value} is none of an input"
        )
    produced = {value for step in program.steps for value in step.writes()}
    shaped = {i for i, value in enumerate(program.values) if value.type is not None} - known - produced
    for i, step in enumerate(program.steps):
        what = f"step {i} ({step.op})"
        for value in step.reads():
            _check(value in known, f"{where}: {what} reads value {value}, which nothing before it defines")
        for value in step.inputs:
            _check(value is None or value in known or value in shaped, f"{where}: {what} asks for an unknown value")
        for value in step.writes():
            define(value, what)
        _step(f"{where}: {what}", step, weights)
    for output in program.outputs:
        _check(output.value in known, f"{where}: output {output.name!r} is value {output.value}, which nothing defines")
    names = [program.values[value].name for value in program.inputs]
    _check(len(set(names)) == len(names), f"{where}: two inputs have one name")


def _step(where: str, step: Step, weights: int) -> None:
    _check((step.kind is StepKind.KERNEL) == (step.kernel is not None), f"{where} is a kernel call without a kernel")
    _check((step.kind is StepKind.CONTROL) == bool(step.subprograms), f"{where} has subprograms and does not run them")
    if step.kind is StepKind.ALIAS:
        _check(bool(step.inputs) and step.inputs[0] is not None and len(step.outputs) == 1, f"{where} aliases nothing")
    if step.kind is StepKind.CONTROL:
        bodies = sorted(sub.attribute for sub in step.subprograms)
        known = bodies == _BODIES.get(step.op) if not step.domain else (step.domain, step.op) in _ANY_BODIES
        _check(known, f"{where} does not run the subprograms {bodies}")
    for sub in step.subprograms:
        _check(len(sub.captures) == len(sub.program.captures), f"{where} hands over too few or too many captures")
        _program(sub.program, weights)


def _check(holds: bool, sentence: str) -> None:
    if not holds:
        raise BundleError(f"program file: {sentence}")
